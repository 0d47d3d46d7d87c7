// A source file as the style checks read it, and the scanners they share.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace expirer::tidy {

struct Source {
  std::string path;  // from the root of the tree: src/base/clock.h
  std::string text;
};

// Every file below `folders` whose name ends in one of `endings` (all files
// where there are none), sorted by path. Runs in the tree's root.
std::vector<Source> ReadTree(const std::vector<std::string>& folders,
                             const std::vector<std::string>& endings);

std::vector<std::string> Lines(std::string_view text);
bool StartsWith(std::string_view text, std::string_view start);
bool EndsWith(std::string_view text, std::string_view end);

// `text` with comments, literals and preprocessor lines turned into spaces:
// same length, same lines.
std::string Blank(std::string_view text);
// The same, but comments and preprocessor lines stay.
std::string BlankLiterals(std::string_view text);
// Only comments are turned into spaces.
std::string BlankComments(std::string_view text);

struct Function {
  std::string name;  // as written: Scheduler::Step
  size_t line;       // where its header begins, from 1
  size_t lines;      // to its closing brace, both counted
};
// The functions defined in a C++ file that is laid out by clang-format: at
// namespace or class level, a brace after a space and a header with
// parentheses opens a body. Lambdas and local classes count to their function.
std::vector<Function> Functions(std::string_view text);

struct Class {
  std::string name;
  size_t line;     // where it begins, from 1
  size_t methods;  // declared in it, without constructors, destructor and operators
};
// The classes and structs defined in such a file, also those inside others.
std::vector<Class> Classes(std::string_view text);

// How many lists of initialisers in such a file give more than three fields by their
// place: T{a, b, c, d}, return {a, b, c, d} and f({a, b, c, d}); not those of
// containers and tables.
size_t PositionalInitialisers(std::string_view text);

}  // namespace expirer::tidy
