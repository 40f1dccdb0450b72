#include "service/target_setup.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/escape.hpp"
#include "base/file.hpp"
#include "config/secret.hpp"
#include "push/known_hosts.hpp"
#include "push/new_key.hpp"
#include "push/recipe.hpp"
#include "service/setup_script.hpp"
#include "service/target_tables.hpp"

namespace rcptsync::service {
namespace {

constexpr std::size_t largest_public_key = 64U << 10;

// `ssh-ed25519 AAAA… comment`: from the private key, which counts, else from the file beside it.
Result<std::string> public_line(const config::SecretRef& ref) {
  const auto file = config::resolve(ref);
  const auto beside = read_file(file.native() + ".pub", largest_public_key);
  auto secret = config::read_secret(ref);
  Result<std::string> line = Error{Errc::not_found, {}};
  if (secret) {
    line = push::public_line_of(*secret);
    OPENSSL_cleanse(secret->data(), secret->size());
  } else {
    line = secret.error();
  }
  if (!beside) {
    if (line) return *line + " rcptsync";
    return line.error().within(file.native());
  }
  const auto stands = beside->substr(0, beside->find('\n'));
  // One that belongs to another private key would let nobody in.
  if (line && !stands.starts_with(*line))
    return Error{Errc::credentials, fmt::format("{}.pub does not belong to {}; remove it",
                                                file.native(), file.native())};
  if (stands.find("ssh-") != 0 && stands.find("ecdsa-") != 0)
    return Error{Errc::credentials, fmt::format("{}.pub holds no public key", file.native())};
  return stands;
}

Result<std::string> authorized_keys(const config::Target& target) {
  std::string lines;
  for (const auto& ref : target.keys) {
    const auto line = public_line(ref);
    if (!line) {
      auto error = line.error();
      error.message += "; `rcptsyncctl keygen` makes a key";
      return error;
    }
    const auto from = target.source_address.empty()
                          ? std::string()
                          : fmt::format("from=\"{}\",", target.source_address);
    lines += fmt::format("{}{}restrict {}", lines.empty() ? "" : "\n", from, *line);
  }
  return lines;
}

ExitCode fail(const OperatorContext& context, const Error& error) {
  context.errors.emit({EventKind::diagnostic, Priority::error, error.message});
  return exit_failed;
}

}  // namespace

Result<const config::Target*> find_target(const config::Config& config, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& target : config.targets) {
    if (target.name == name) return &target;
    names.push_back(target.name);
  }
  return Error{Errc::not_found,
               fmt::format("no target is named {}; there {}", escape(name),
                           names.empty() ? std::string("is none in the configuration")
                                         : fmt::format("are {}", fmt::join(names, ", ")))};
}

ExitCode print_target_setup(const OperatorContext& context, const std::string& name,
                            std::ostream& out) {
  const auto found = find_target(context.config, name);
  if (!found) return fail(context, found.error());
  const auto& target = **found;
  if (target.mode != config::Mode::scp)
    return fail(context, {Errc::invalid, "mode: receive is not built into this version; use scp"});
  if (!push::usable_path(target.path)) return fail(context, push::unusable_path(target.path));
  const auto keys = authorized_keys(target);
  if (!keys) return fail(context, keys.error());

  const auto& domains = target.domains.empty() ? context.config.recipients.domains : target.domains;
  const std::vector<std::pair<std::string_view, std::string>> settings = {
      {"name", target.name},
      {"user", target.user},
      {"path", target.path},
      {"config", target.postfix_config},
      {"format", std::string(config::to_string(target.format))},
      {"map", std::string(config::to_string(target.map_type))},
      {"access", table_settings(context.config, target).with_access ? "yes" : "no"},
      {"domains", fmt::format("{}", fmt::join(domains, ", "))},
      {"known_as", push::lookup_name(target.host, target.port)},
      {"keys", *keys}};
  std::string script = fmt::format(
      "#!/bin/sh\n# Prepares {} as target {} of rcptsync. Run it there as root: sh FILE\n"
      "# With --postfix it also makes the settings of main.cf that are missing.\n",
      escape(target.host), escape(target.name));
  for (const auto& [key, value] : settings)
    script += fmt::format("target_{}={}\n", key, push::shell_quote(value));
  script += "\n";
  script += setup_script;
  if (context.json)
    out << nlohmann::json{{"target", target.name}, {"script", script}}.dump(
               2, ' ', false, nlohmann::json::error_handler_t::replace)
        << '\n';
  else
    out << script;
  return exit_ok;
}

}  // namespace rcptsync::service
