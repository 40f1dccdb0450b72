#include "service/control_protocol.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace rcptsync::service {
namespace {

using nlohmann::json;

// What is not UTF-8 is shown with its replacement; it comes from the file system or a person.
std::string dump(const json& document) {
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

Error malformed(std::string_view what) {
  return {Errc::protocol, fmt::format("the other side sent {} that cannot be read", what)};
}

// Calls `read` with the document; whatever it misses there is the error.
template <class Value, class Read>
Result<Value> from_json(std::string_view text, std::string_view what, const Read& read) {
  const auto document = json::parse(text, nullptr, false);
  if (!document.is_object()) return malformed(what);
  try {
    return read(document);
  } catch (const json::exception&) {
    return malformed(what);
  }
}

}  // namespace

std::string frame(FrameKind kind, std::string_view content) {
  const auto length = static_cast<std::uint32_t>(content.size());
  std::string bytes(1, static_cast<char>(kind));
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(length >> shift & 0xff);
  return bytes.append(content);
}

std::optional<FrameHeader> read_header(std::string_view bytes) {
  const auto kind = static_cast<FrameKind>(bytes[0]);
  switch (kind) {
    case FrameKind::request:
    case FrameKind::output:
    case FrameKind::event:
    case FrameKind::end:
      break;
    default:
      return std::nullopt;
  }
  std::uint32_t length = 0;
  for (std::size_t i = 1; i < frame_header; ++i)
    length = length << 8 | static_cast<unsigned char>(bytes[i]);
  return FrameHeader{kind, length};
}

std::string to_json(const Request& request) {
  return dump({{"protocol", control_protocol},
               {"state_dir", request.state_dir},
               {"config_file", request.config_file},
               {"words", request.words},
               {"order", request.order},
               {"width", request.width},
               {"colour", request.colour}});
}

Result<Request> read_request(std::string_view text) {
  return from_json<Request>(text, "a request", [](const json& document) -> Result<Request> {
    if (document.at("protocol").get<std::uint32_t>() != control_protocol)
      return Error{Errc::foreign,
                   "rcptsyncctl and rcptsyncd are of different versions; restart the daemon"};
    Request request;
    document.at("state_dir").get_to(request.state_dir);
    document.at("config_file").get_to(request.config_file);
    document.at("words").get_to(request.words);
    document.at("order").get_to(request.order);
    document.at("width").get_to(request.width);
    document.at("colour").get_to(request.colour);
    return request;
  });
}

std::string to_json(const Event& event) {
  return dump({{"priority", static_cast<int>(event.priority)}, {"message", event.message}});
}

Result<Event> read_event(std::string_view text) {
  return from_json<Event>(text, "a message", [](const json& document) -> Result<Event> {
    const auto priority = document.at("priority").get<int>();
    if (priority < static_cast<int>(Priority::error) ||
        priority > static_cast<int>(Priority::debug))
      return malformed("a message");
    return Event{EventKind::diagnostic, static_cast<Priority>(priority),
                 document.at("message").get<std::string>()};
  });
}

std::string to_json(const CommandEnd& end) {
  return dump({{"code", end.code}, {"refused", end.refused}, {"reason", end.reason}});
}

Result<CommandEnd> read_end(std::string_view text) {
  return from_json<CommandEnd>(text, "an end", [](const json& document) -> Result<CommandEnd> {
    CommandEnd end;
    document.at("code").get_to(end.code);
    document.at("refused").get_to(end.refused);
    document.at("reason").get_to(end.reason);
    if (end.code < 0 || end.code > 255) return malformed("an end");
    return end;
  });
}

}  // namespace rcptsync::service
