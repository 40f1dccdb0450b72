// control_protocol — what rcptsyncctl and the daemon say to each other over the control socket.
//
// A frame is one byte for what it is, its length as four bytes in network order, and its content.
// The tool sends one request; the daemon answers with any number of outputs and events and one end.
// Nothing that the other side says is believed before it was looked at: lengths are bounded, and
// what is not as it has to be is an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/event.hpp"
#include "base/result.hpp"
#include "service/exit_code.hpp"

namespace rcptsync::service {

inline constexpr std::uint32_t control_protocol = 1;
inline constexpr std::size_t frame_header = 5;
inline constexpr std::size_t largest_request = 64U << 10;
inline constexpr std::size_t largest_answer_frame = 1U << 20;

enum class FrameKind : char {
  request = 'Q',  ///< Request as JSON
  output = 'O',   ///< bytes for standard output
  event = 'E',    ///< an Event as JSON, for standard error
  end = 'X'       ///< JSON: the exit code
};

struct FrameHeader {
  FrameKind kind = FrameKind::request;
  std::uint32_t length = 0;
};

std::string frame(FrameKind kind, std::string_view content);
/// `bytes`: frame_header of them. Nothing if that is no kind of frame.
std::optional<FrameHeader> read_header(std::string_view bytes);

struct Request {
  std::string state_dir;  ///< that is meant; empty: not known, because the file cannot be read
  std::string config_file;
  std::vector<std::string> words;  ///< the command line; empty with `order`
  std::string order;               ///< id of an order that was saved: answer when it is carried out
  std::size_t width = 80;          ///< as in OperatorContext
  bool colour = false;
};

std::string to_json(const Request& request);
/// Errc::protocol if it is none, Errc::foreign if it is of another version.
Result<Request> read_request(std::string_view json);

/// Priority, message and what stderr shows beside it.
std::string to_json(const Event& event);
Result<Event> read_event(std::string_view json);

/// How a command ended. `refused`: the daemon is not the one that was meant, or does not serve it.
struct CommandEnd {
  int code = exit_failed;
  bool refused = false;
  std::string reason;  ///< of a refusal
};
std::string to_json(const CommandEnd& end);
Result<CommandEnd> read_end(std::string_view json);

}  // namespace rcptsync::service
