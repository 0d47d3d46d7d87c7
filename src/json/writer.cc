#include "json/writer.h"

#include "absl/strings/escaping.h"
#include "base/coding.h"
#include "base/visible.h"
#include "json/value.h"

namespace expirer {

void AppendJsonEscaped(std::string_view text, std::string* out) {
  size_t plain = 0;  // first byte not yet copied
  for (size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out->append(text.substr(plain, at - plain));
    plain = at + 1;
    AppendEscaped(byte, out);
  }
  out->append(text.substr(plain));
}

void AppendJsonQuoted(std::string_view text, std::string* out) {
  out->push_back('"');
  if (IsUtf8(text))
    AppendJsonEscaped(text, out);
  else
    AppendPercentEncoded(text, out);
  out->push_back('"');
}

std::string JsonQuoted(std::string_view text) { return JsonWriter().Item(text).Take(); }

JsonWriter& JsonWriter::Members(std::string_view fragment) {
  if (fragment.empty()) return *this;
  Separate();
  out_ += fragment;
  return *this;
}

JsonWriter& JsonWriter::Object(std::string_view name) {
  Name(name);
  Open('{', '}');
  return *this;
}

JsonWriter& JsonWriter::Array(std::string_view name) {
  Name(name);
  Open('[', ']');
  return *this;
}

JsonWriter& JsonWriter::End() {
  if (line_) out_ += '\n';
  out_ += ends_.back();
  ends_.pop_back();
  comma_ = true;
  line_ = false;
  return *this;
}

std::string JsonWriter::Take() {
  while (!ends_.empty()) End();
  return std::move(out_);
}

JsonWriter& JsonWriter::Line() {
  line_ = true;
  return *this;
}

void JsonWriter::AddOne(std::string_view name, JsonBytes value) {
  if (IsUtf8(value.bytes)) return AddOne(name, value.bytes);
  AddOne(std::string(name) + "_base64",
         absl::Base64Escape({value.bytes.data(), value.bytes.size()}));
}

void JsonWriter::Separate() {
  if (comma_) out_ += ',';
  if (line_) out_ += '\n';
  comma_ = true;
  line_ = false;
}

void JsonWriter::Name(std::string_view name) {
  Separate();
  AppendJsonQuoted(name, &out_);
  out_ += ':';
}

JsonWriter& JsonWriter::Begin(char open, char close) {
  Separate();
  Open(open, close);
  return *this;
}

void JsonWriter::Open(char open, char close) {
  out_ += open;
  ends_ += close;
  comma_ = false;
}

}  // namespace expirer
