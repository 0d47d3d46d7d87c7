#include "json/reader.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/check.h"
#include "base/decimal.h"

namespace expirer {
namespace {

namespace od = simdjson::ondemand;

constexpr int kDepthMax = 128;

// True when all of `text` is a number of the JSON grammar.
bool IsNumber(std::string_view text) {
  const std::optional<Decimal> number = ReadDecimal(text);
  return number && (number->whole.size() == 1 || !number->whole.starts_with('0'));
}

// A pointer token as an array index: no sign, no leading zero, at most 9
// digits (no event holds more elements).
int64_t ArrayIndex(std::string_view token) {
  uint32_t index = 0;
  const char* const end = token.data() + token.size();
  const bool plain = token.size() <= 9 && (token.size() == 1 || !token.starts_with('0'));
  if (!plain || std::from_chars(token.data(), end, index).ptr != end) return -1;
  return token.empty() ? -1 : int64_t{index};
}

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

std::string_view TrimRight(std::string_view text) {
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

// simdjson's own sentences change from version to version; ours must not,
// since replayed runs are compared byte by byte.
const char* Reason(simdjson::error_code error) {
  switch (error) {
    case simdjson::EMPTY: return "it is empty";
    case simdjson::UTF8_ERROR: return "it is not valid UTF-8";
    case simdjson::UNCLOSED_STRING: return "it ends inside a string";
    case simdjson::UNESCAPED_CHARS: return "a string holds a control byte";
    case simdjson::CAPACITY: return "it is too long";
    case simdjson::MEMALLOC: return "there is not enough memory to read it";
    default: return "it is malformed or ends too early";
  }
}

}  // namespace

absl::Status CheckJsonPointer(std::string_view pointer) {
  if (!pointer.starts_with('/'))
    return Invalid("expected a JSON pointer, which begins with /");
  for (size_t at = pointer.find('~'); at != std::string_view::npos;
       at = pointer.find('~', at + 1)) {
    const char next = at + 1 < pointer.size() ? pointer[at + 1] : '\0';
    if (next != '0' && next != '1')
      return Invalid("expected ~0 or ~1 after ~ in a JSON pointer");
  }
  return absl::OkStatus();
}

size_t JsonPointers::Add(std::string_view pointer) {
  CHECK(CheckJsonPointer(pointer).ok());
  size_t node = 0;
  std::string token;
  for (size_t at = 1; at <= pointer.size(); ++at) {
    if (at == pointer.size() || pointer[at] == '/') {
      node = Child(node, token);
      token.clear();
    } else if (pointer[at] == '~') {
      token.push_back(pointer[++at] == '0' ? '~' : '/');
    } else {
      token.push_back(pointer[at]);
    }
  }
  if (nodes_[node].slot == kNone) nodes_[node].slot = static_cast<int64_t>(count_++);
  return static_cast<size_t>(nodes_[node].slot);
}

size_t JsonPointers::Child(size_t node, const std::string& token) {
  for (const Edge& edge : nodes_[node].edges)
    if (edge.name == token) return edge.node;
  const size_t child = nodes_.size();
  nodes_[node].edges.push_back({token, ArrayIndex(token), child});
  nodes_.emplace_back();
  return child;
}

// One pass over one document. Member functions return false once `reason` says
// why the text is refused.
class JsonWalk {
 public:
  JsonWalk(const JsonPointers& pointers, std::string_view text, std::vector<bool>* seen,
           std::string* scratch, std::vector<JsonValue>* values,
           std::vector<JsonReader::Part>* parts)
      : nodes_(pointers.nodes_),
        text_(text),
        escapes_(text.find('\\') != text.npos),
        seen_(*seen),
        scratch_(*scratch),
        values_(*values),
        parts_(parts) {
    seen_.assign(nodes_.size(), false);
  }

  bool Document(od::document* document) {
    document_ = document;
    od::json_type type = od::json_type::null;
    if (!Ok(document->type().get(type))) return false;
    if (type == od::json_type::object) {
      od::object object;
      if (!Ok(document->get_object().get(object)) || !Object(object, &nodes_[0], 1))
        return false;
    } else if (type == od::json_type::array) {
      od::array array;
      if (!Ok(document->get_array().get(array)) || !Array(array, &nodes_[0], 1))
        return false;
    } else {
      return Fail("it is neither an object nor an array");
    }
    const char* next = nullptr;
    return document->current_location().get(next) == simdjson::OUT_OF_BOUNDS ||
           Fail("there are bytes after its end");
  }
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  using Node = JsonPointers::Node;
  using Edge = JsonPointers::Edge;

  bool Fail(std::string reason) {
    reason_ = std::move(reason);
    return false;
  }
  bool Ok(simdjson::error_code error) {
    return error == simdjson::SUCCESS || Fail(Reason(error));
  }
  bool Malformed() { return Fail(Reason(simdjson::TAPE_ERROR)); }

  // `node` is null below the paths that pointers take: there everything is
  // only checked.
  bool Object(od::object object, const Node* node, int depth) {
    if (depth > kDepthMax) return Fail(fmt::format("it nests deeper than {}", kDepthMax));
    for (auto result : object) {
      od::field field;
      if (!Ok(std::move(result).get(field))) return false;
      const Node* child = nullptr;
      const char* const name = field.key().raw();
      if (!Member(name, node, &child)) return false;
      if (!Value(field.value(), child, depth, AddPart(name, depth))) return false;
    }
    return true;
  }

  bool Array(od::array array, const Node* node, int depth) {
    if (depth > kDepthMax) return Fail(fmt::format("it nests deeper than {}", kDepthMax));
    int64_t index = 0;
    for (auto result : array) {
      od::value value;
      if (!Ok(std::move(result).get(value))) return false;
      const Node* child = nullptr;
      if (node != nullptr) {
        for (const Edge& edge : node->edges)
          if (edge.index == index) child = &nodes_[edge.node];
      }
      if (!Value(value, child, depth, AddPart(nullptr, depth))) return false;
      ++index;
    }
    return true;
  }

  // Finds the child of `node` that a member name leads to, if any. `name`
  // points behind the opening quote; stage 1 has proved that it is closed.
  bool Member(const char* name, const Node* node, const Node** child) {
    if (!escapes_) {
      if (node == nullptr) return true;
      const auto room = static_cast<size_t>(text_.data() + text_.size() - name);
      for (const Edge& edge : node->edges) {
        const size_t size = edge.name.size();
        if (size < room && name[size] == '"' &&
            std::memcmp(name, edge.name.data(), size) == 0)
          return Take(edge, child);
      }
      return true;
    }
    std::string_view text = UpToQuote(name);
    if (text.find('\\') != std::string_view::npos) {
      if (!JsonEscapesAreLegal(text)) return Fail("a string holds a malformed escape");
      scratch_.clear();
      // A name without a text is no pointer's token.
      if (!DecodeJsonString(text, &scratch_)) return true;
      text = scratch_;
    }
    if (node == nullptr) return true;
    for (const Edge& edge : node->edges)
      if (edge.name == text) return Take(edge, child);
    return true;
  }

  static std::string_view UpToQuote(const char* begin) {
    const char* end = begin;
    while (*end != '"') end += *end == '\\' ? 2 : 1;
    return {begin, static_cast<size_t>(end - begin)};
  }

  // Where Value writes a part of the outermost level; null for any other value.
  JsonValue* AddPart(const char* name, int depth) {
    if (parts_ == nullptr || depth > 1) return nullptr;
    parts_->push_back({name == nullptr ? std::string_view() : UpToQuote(name), {}});
    return &parts_->back().value;
  }

  // A path leads to a node at most once, or a name was repeated.
  bool Take(const Edge& edge, const Node** child) {
    if (seen_[edge.node])
      return Fail(
          fmt::format("the member \"{}\" is there twice", edge.name.substr(0, 64)));
    seen_[edge.node] = true;
    *child = &nodes_[edge.node];
    return true;
  }

  bool Value(od::value value, const Node* node, int depth, JsonValue* part) {
    const std::string_view token = value.raw_json_token();
    JsonValue found;
    switch (token.empty() ? '\0' : token[0]) {
      case '{': {
        od::object object;
        if (!Ok(value.get_object().get(object)) || !Object(object, node, depth + 1))
          return false;
        found.kind = JsonValue::Kind::kObject;
        break;
      }
      case '[': {
        od::array array;
        if (!Ok(value.get_array().get(array)) || !Array(array, node, depth + 1))
          return false;
        found.kind = JsonValue::Kind::kArray;
        break;
      }
      case '"': {
        // Left to be skipped, a string would take a ':' behind it along.
        od::raw_json_string consumed;
        if (!Ok(value.get_raw_json_string().get(consumed))) return false;
        [[fallthrough]];
      }
      default:
        if (!Scalar(TrimRight(token), &found)) return false;
    }
    const bool wanted = node != nullptr && node->slot != JsonPointers::kNone;
    if (!wanted && part == nullptr) return true;
    if (found.raw.empty()) found.raw = Container(token.data());
    if (wanted) values_[static_cast<size_t>(node->slot)] = found;
    if (part != nullptr) *part = found;
    return true;
  }

  // Finds out the kind of a scalar's token and checks its grammar.
  bool Scalar(std::string_view token, JsonValue* found) {
    found->raw = token;
    if (token.starts_with('"')) {
      if (token.size() < 2 || token.back() != '"') return Malformed();
      if (escapes_ && !JsonEscapesAreLegal(found->Quoted()))
        return Fail("a string holds a malformed escape");
      found->kind = JsonValue::Kind::kString;
    } else if (token == "null") {
      found->kind = JsonValue::Kind::kNull;
    } else if (token == "true" || token == "false") {
      found->kind = JsonValue::Kind::kBool;
    } else if (IsNumber(token)) {
      found->kind = JsonValue::Kind::kNumber;
    } else {
      return Malformed();
    }
    return true;
  }

  // The JSON of the container that began at `begin` and has just been walked:
  // it ends at the last bracket before the next token.
  std::string_view Container(const char* begin) {
    const char* next = nullptr;
    if (document_->current_location().get(next) != simdjson::SUCCESS)
      next = text_.data() + text_.size();
    return TrimRight(std::string_view(begin, static_cast<size_t>(next - begin)));
  }

  const std::vector<Node>& nodes_;
  const std::string_view text_;
  const bool escapes_;       // a backslash stands anywhere in the text
  std::vector<bool>& seen_;  // by node: a member has led there
  std::string& scratch_;
  std::vector<JsonValue>& values_;
  std::vector<JsonReader::Part>* const parts_;  // null: nobody wants them
  od::document* document_ = nullptr;
  std::string reason_;
};

struct JsonReader::State {
  od::parser parser;
  std::unique_ptr<char[]> buffer;
  size_t capacity = 0;
  std::vector<bool> seen;
  std::string scratch;

  // Copies `text` to where simdjson may read behind its end.
  std::string_view Pad(std::string_view text) {
    const size_t need = text.size() + simdjson::SIMDJSON_PADDING;
    if (need > capacity) {
      capacity = std::max(need, 2 * capacity);
      buffer.reset(new char[capacity]);
    }
    std::copy(text.begin(), text.end(), buffer.get());
    std::fill_n(buffer.get() + text.size(), simdjson::SIMDJSON_PADDING, ' ');
    return {buffer.get(), text.size()};
  }
};

JsonReader::JsonReader() : state_(std::make_unique<State>()) {}
JsonReader::~JsonReader() = default;

absl::Status JsonReader::Read(std::string_view text, const JsonPointers& pointers) {
  return Walk(text, pointers, nullptr);
}

absl::Status JsonReader::ReadParts(std::string_view text, std::vector<Part>* parts) {
  static const JsonPointers kNone;
  parts->clear();
  RETURN_IF_ERROR(Walk(text, kNone, parts));
  const auto in_text = [&](std::string_view view) {
    return view.data() == nullptr
               ? view
               : text.substr(view.data() - state_->buffer.get(), view.size());
  };
  for (Part& part : *parts) {
    part.name = in_text(part.name);
    part.value.raw = in_text(part.value.raw);
  }
  return absl::OkStatus();
}

absl::Status JsonReader::Walk(std::string_view text, const JsonPointers& pointers,
                              std::vector<Part>* parts) {
  values_.assign(pointers.size(), JsonValue{});
  // Newer simdjson skips a byte order mark, older refuses it: always refuse.
  if (text.starts_with("\xEF\xBB\xBF"))
    return Invalid("it begins with a byte order mark");
  const std::string_view padded = state_->Pad(text);
  od::document document;
  const simdjson::error_code error =
      state_->parser
          .iterate(simdjson::padded_string_view(padded.data(), padded.size(),
                                                state_->capacity))
          .get(document);
  if (error != simdjson::SUCCESS) return Invalid(Reason(error));
  JsonWalk walk(pointers, padded, &state_->seen, &state_->scratch, &values_, parts);
  if (walk.Document(&document)) return absl::OkStatus();
  values_.assign(pointers.size(), JsonValue{});
  return Invalid(walk.reason());
}

}  // namespace expirer
