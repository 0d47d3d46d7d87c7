#include "json/places.h"

#include "json/reader.h"
#include "json/view.h"

namespace expirer {
namespace {

void Take(const JsonValue& value, std::string* to) { *to = JsonTextOr(value, *to); }

template <typename Integer>
void Take(const JsonValue& value, Integer* to) {
  *to = JsonInteger<Integer>(value).value_or(*to);
}

void Take(const JsonValue& value, bool* to) {
  if (value.kind == JsonValue::Kind::kBool) *to = value.raw == "true";
}

void Take(const JsonValue& value, std::vector<std::string>* to) {
  const auto items = JsonItems(value.raw);
  if (!items.ok()) return;
  to->clear();
  for (const JsonValue& item : *items)
    if (item.kind == JsonValue::Kind::kString) to->push_back(JsonTextOr(item));
}

void Take(const JsonValue& value, Json* to) {
  if (value.kind != JsonValue::Kind::kMissing) to->text = value.raw;
}

}  // namespace

absl::Status ReadPlaces(std::string_view text, const std::vector<JsonPlace>& places) {
  JsonPointers pointers;
  std::vector<size_t> slots;
  for (const JsonPlace& place : places) slots.push_back(pointers.Add(place.pointer));
  JsonReader reader;
  RETURN_IF_ERROR(reader.Read(text, pointers));
  for (size_t i = 0; i < places.size(); ++i)
    std::visit([&](auto* to) { Take(reader.value(slots[i]), to); }, places[i].to);
  return absl::OkStatus();
}

}  // namespace expirer
