#include "service/keygen.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/escape.hpp"
#include "config/secret.hpp"
#include "push/new_key.hpp"

namespace rcptsync::service {
namespace {

std::string usual_comment() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) return "rcptsync";
  return fmt::format("rcptsync@{}", host.data());
}

}  // namespace

ExitCode make_key(std::filesystem::path file, std::string comment, bool json, std::ostream& out,
                  EventSink& errors) {
  const bool usual = file.empty();
  if (usual) file = config::resolve({config::SecretRef::Kind::credential, "ssh-key"});
  std::error_code ignored;
  file = std::filesystem::absolute(file, ignored);
  if (comment.empty()) comment = usual_comment();
  const auto fail = [&](const Error& error) {
    errors.emit({EventKind::diagnostic, Priority::error, error.message});
    return exit_failed;
  };
  const auto pair = push::new_key_pair(comment);
  if (!pair) return fail(pair.error());
  if (auto saved = push::save_key_pair(*pair, file); !saved) return fail(saved.error());
  if (json) {
    out << nlohmann::json{{"private_key", file.native()},
                          {"public_key", pair->public_line},
                          {"fingerprint", pair->fingerprint}}
               .dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
        << '\n';
    return exit_ok;
  }
  fmt::print(out, "{}\n\n", pair->public_line);
  fmt::print(out, "The private key is {}, mode 0600; {} ({}).\n", escape(file.native()),
             "the line above stands in the file .pub beside it", pair->fingerprint);
  if (!usual)
    fmt::print(out, "Name it in the configuration: target_defaults: {{key_file: {}}}\n",
               escape(file.native()));
  out << "Next, for each target:\n"
         "  rcptsyncctl target setup NAME > setup.sh    a script to run there as root\n"
         "  rcptsyncctl target test NAME                whether everything is right\n"
         "A daemon that runs under systemd gets the key with: systemctl restart rcptsyncd\n";
  return exit_ok;
}

}  // namespace rcptsync::service
