#include "tidy/source.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

namespace expirer::tidy {
namespace {

bool IsWord(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}
bool IsSpace(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

void Erase(std::string* text, size_t from, size_t to) {
  for (size_t i = from; i < to && i < text->size(); ++i)
    if ((*text)[i] != '\n') (*text)[i] = ' ';
}

// Past the end of `end`, searched from `from`; the text's end if it is absent.
size_t Past(std::string_view text, std::string_view end, size_t from) {
  const size_t at = text.find(end, from);
  return at == std::string_view::npos ? text.size() : at + end.size();
}

// Past a "..." or '...' literal that begins at `from`.
size_t PastQuoted(std::string_view text, size_t from) {
  const char quote = text[from];
  size_t i = from + 1;
  while (i < text.size() && text[i] != quote && text[i] != '\n')
    i += text[i] == '\\' ? 2 : 1;
  return std::min(i + 1, text.size());
}

// Past an R"delimiter(...)delimiter" whose quote is at `quote`.
size_t PastRaw(std::string_view text, size_t quote) {
  const size_t open = text.find('(', quote);
  if (open == std::string_view::npos) return text.size();
  const std::string end =
      ")" + std::string(text.substr(quote + 1, open - quote - 1)) + "\"";
  return Past(text, end, open);
}

// Past a preprocessor line, with those it continues on.
size_t PastDirective(std::string_view text, size_t from) {
  size_t end = text.find('\n', from);
  while (end != std::string_view::npos && text[end - 1] == '\\')
    end = text.find('\n', end + 1);
  return end == std::string_view::npos ? text.size() : end;
}

bool OnlySpaceBefore(std::string_view text, size_t at) {
  while (at > 0 && text[at - 1] != '\n')
    if (!IsSpace(text[--at])) return false;
  return true;
}

enum class Blanked { kAllButCode, kLiterals, kComments };

std::string BlankThe(Blanked what, std::string_view text) {
  std::string out(text);
  const bool all = what == Blanked::kAllButCode;
  size_t i = 0;
  while (i < text.size()) {
    const char c = text[i];
    size_t end = i + 1;
    bool blank = what != Blanked::kLiterals;
    if (text.substr(i, 2) == "//") {
      end = std::min(text.find('\n', i), text.size());
    } else if (text.substr(i, 2) == "/*") {
      end = Past(text, "*/", i + 2);
    } else if (all && c == '#' && OnlySpaceBefore(text, i)) {
      end = PastDirective(text, i);
    } else if (c == '"') {
      end = i > 0 && text[i - 1] == 'R' ? PastRaw(text, i) : PastQuoted(text, i);
      blank = what != Blanked::kComments;
    } else if (c == '\'' && (i == 0 || !IsWord(text[i - 1]))) {  // not 1'000
      end = PastQuoted(text, i);
      blank = what != Blanked::kComments;
    } else {
      blank = false;
    }
    if (blank) Erase(&out, i, end);
    i = end;
  }
  return out;
}

// Past the brace that closes the one at `open`.
size_t PastBody(std::string_view blanked, size_t open) {
  int depth = 0;
  for (size_t i = open; i < blanked.size(); ++i) {
    if (blanked[i] == '{') ++depth;
    if (blanked[i] == '}' && --depth == 0) return i + 1;
  }
  return blanked.size();
}

// The name before the first parenthesis of a function's header.
std::string NameIn(std::string_view header) {
  const size_t open = header.find('(');
  size_t end = open;
  while (end > 0 && IsSpace(header[end - 1])) --end;
  const size_t symbol = header.substr(0, end).find("operator");
  if (symbol != std::string_view::npos)
    return std::string(header.substr(symbol, end - symbol));
  // Back over Scope<T>::Name: arguments in angles belong to it, other spaces end it.
  size_t begin = end;
  int angles = 0;
  while (begin > 0) {
    const char c = header[begin - 1];
    if (c == '>') ++angles;
    if (c == '<') --angles;
    if (angles == 0 && c != '<' && c != ':' && c != '~' && !IsWord(c)) break;
    --begin;
  }
  return std::string(header.substr(begin, end - begin));
}

// Without what is between angles, attributes and the names of macros with arguments.
std::string Bare(std::string_view declaration) {
  static const std::regex* const kMacros = new std::regex(
      "\\[\\[[^\\]]*\\]\\]|ABSL_[A-Z_]+\\([^()]*(\\([^()]*\\)[^()]*)*\\)|__attribute__\\("
      ".*\\)");
  std::string text = std::regex_replace(std::string(declaration), *kMacros, "");
  static const std::regex* const kAngles = new std::regex("<[^<>]*>");
  for (size_t before = 0; before != text.size();) {
    before = text.size();
    text = std::regex_replace(text, *kAngles, "");
  }
  return text;
}

// Whether a member's declaration, without its body, is one of a method of `of`.
bool IsMethod(std::string_view declaration, const std::string& of) {
  const std::string text = Bare(declaration);
  const size_t open = text.find('(');
  if (open == std::string::npos) return false;
  static const std::regex* const kOther = new std::regex(
      "^\\s*(template\\s*)?(friend|using|typedef|static_assert|enum|class|struct)\\b");
  if (std::regex_search(text, *kOther)) return false;
  const std::string before = text.substr(0, open);
  const std::string name = NameIn(text);
  return before.find('=') == std::string::npos && name != of && name[0] != '~' &&
         !StartsWith(name, "operator");
}

size_t Methods(std::string_view body, const std::string& of) {
  size_t methods = 0;
  size_t from = 0;
  int parens = 0;
  for (size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (c == '(') ++parens;
    if (c == ')') --parens;
    if (parens > 0) continue;
    const bool label = c == ':' && (EndsWith(body.substr(0, i), "public") ||
                                    EndsWith(body.substr(0, i), "protected") ||
                                    EndsWith(body.substr(0, i), "private"));
    if (c != ';' && c != '{' && !label) continue;
    if (!label && IsMethod(body.substr(from, i - from), of)) {
      ++methods;
      if (c == '{') i = PastBody(body, i) - 1;
      from = i + 1;
      continue;
    }
    // A member's value ends at the semicolon behind it.
    if (c == '{') i = PastBody(body, i) - 1;
    if (c != '{') from = i + 1;
  }
  return methods;
}

// Of the list whose brace is at `open`.
bool IsPositional(std::string_view code, size_t open) {
  const std::string_view list = code.substr(open + 1, PastBody(code, open) - open - 2);
  const size_t first = list.find_first_not_of(" \n");
  if (first == std::string_view::npos || list[first] == '.') return false;
  int depth = 0;
  size_t fields = 1;
  for (size_t i = 0; i < list.size(); ++i) {
    const char c = list[i];
    if (c == ';') return false;  // a body
    if (c == '(' || c == '{' || c == '[') ++depth;
    if (c == ')' || c == '}' || c == ']') --depth;
    if (c == ',' && depth == 0 && list.find_first_not_of(" \n", i + 1) != list.npos)
      ++fields;
  }
  return fields > 3;
}

}  // namespace

std::vector<Source> ReadTree(const std::vector<std::string>& folders,
                             const std::vector<std::string>& endings) {
  namespace fs = std::filesystem;
  std::vector<Source> sources;
  for (const std::string& folder : folders) {
    if (!fs::is_directory(folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const std::string path = entry.path().string();
      const bool wanted = endings.empty() || std::any_of(endings.begin(), endings.end(),
                                                         [&](const auto& end) {
                                                           return EndsWith(path, end);
                                                         });
      if (!entry.is_regular_file() || !wanted) continue;
      std::ifstream in(path, std::ios::binary);
      sources.push_back({path, std::string((std::istreambuf_iterator<char>(in)), {})});
    }
  }
  std::sort(sources.begin(), sources.end(),
            [](const Source& a, const Source& b) { return a.path < b.path; });
  return sources;
}

std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::string Blank(std::string_view text) { return BlankThe(Blanked::kAllButCode, text); }
std::string BlankLiterals(std::string_view text) {
  return BlankThe(Blanked::kLiterals, text);
}

std::string BlankComments(std::string_view text) {
  return BlankThe(Blanked::kComments, text);
}

std::vector<Function> Functions(std::string_view text) {
  const std::string blanked = Blank(text);
  const std::string_view code = blanked;
  std::vector<Function> functions;
  size_t header = 0;  // where the declaration at hand began
  size_t i = 0;
  int parens = 0;
  while (i < code.size()) {
    const char c = code[i];
    if (c == '(') ++parens;
    if (c == ')') --parens;
    if (c == '{' && (parens > 0 || (i > 0 && !IsSpace(code[i - 1])))) {
      i = PastBody(code, i);  // a value: T{...}, member_{...}, f({...})
      continue;
    }
    if (c == '{' && code.substr(header, i - header).find('(') != std::string_view::npos) {
      while (IsSpace(code[header])) ++header;
      const size_t end = PastBody(code, i);
      const auto line =
          1 + std::count(code.begin(), code.begin() + static_cast<long>(header), '\n');
      const auto last =
          1 + std::count(code.begin(), code.begin() + static_cast<long>(end), '\n');
      functions.push_back({NameIn(code.substr(header, i - header)),
                           static_cast<size_t>(line),
                           static_cast<size_t>(last - line + 1)});
      header = i = end;
      continue;
    }
    // A brace without parentheses before it: a namespace, class or table.
    // An access label is the start of the next declaration, too.
    const bool label = c == ':' && (EndsWith(code.substr(0, i), "public") ||
                                    EndsWith(code.substr(0, i), "protected") ||
                                    EndsWith(code.substr(0, i), "private"));
    if (parens == 0 && (c == '{' || c == '}' || c == ';' || label)) header = i + 1;
    ++i;
  }
  return functions;
}

std::vector<Class> Classes(std::string_view text) {
  const std::string blanked = Blank(text);
  const std::string_view code = blanked;
  std::vector<Class> classes;
  for (const std::string_view word : {"class ", "struct "}) {
    for (size_t at = code.find(word); at != code.npos; at = code.find(word, at + 1)) {
      const std::string_view before = code.substr(0, at);
      const bool head = before.find_last_not_of(" \n") == before.npos ||
                        (!IsWord(before.back()) && before.back() != '<' &&
                         !EndsWith(before, "enum ") && !EndsWith(before, ", "));
      const size_t open = code.find_first_of("{;()=", at);
      if (!head || open == code.npos || code[open] != '{') continue;
      const size_t from = at + word.size();
      size_t end = from;
      while (IsWord(code[end])) ++end;
      const std::string name(code.substr(from, end - from));
      const auto line = 1 + std::count(before.begin(), before.end(), '\n');
      const std::string_view body =
          code.substr(open + 1, PastBody(code, open) - open - 2);
      classes.push_back({name, static_cast<size_t>(line), Methods(body, name)});
    }
  }
  return classes;
}

size_t PositionalInitialisers(std::string_view text) {
  const std::string blanked = Blank(text);
  const std::string_view code = blanked;
  size_t found = 0;
  for (size_t open = code.find('{'); open != code.npos; open = code.find('{', open + 1)) {
    const std::string_view before = code.substr(0, open);
    size_t word = open;
    while (word > 0 && IsWord(code[word - 1])) --word;
    const bool type = word < open && std::isupper(static_cast<unsigned char>(code[word]));
    if (type || EndsWith(before, "(") || EndsWith(before, "return "))
      found += IsPositional(code, open) ? 1 : 0;
  }
  return found;
}

}  // namespace expirer::tidy
