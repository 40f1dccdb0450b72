#include "source/settings.hpp"

#include <string>
#include <variant>

#include "source/ldap_cookie.hpp"

namespace rcptsync::source {
namespace {

/// Hashes texts so that no two lists of them are alike.
class Fields {
 public:
  void add(std::string_view text) {
    hash_.update(std::to_string(text.size()));
    hash_.update(":");
    hash_.update(text);
  }
  void add(const std::vector<std::string>& texts) {
    add(std::to_string(texts.size()));
    for (const auto& text : texts) add(text);
  }
  Digest finish() { return hash_.finish(); }

 private:
  Sha256 hash_;
};

// Another server may be another directory, and nobody tells.
void add(Fields& fields, config::SourceType type, const config::LdapSource& settings) {
  fields.add(fingerprint(type, settings));
  fields.add(settings.domain);
  for (const auto& server : settings.servers) fields.add(server.uri);
}

void add(Fields& fields, config::SourceType, const config::AccountsSource& settings) {
  fields.add(settings.passwd);
  fields.add(settings.aliases);
  fields.add(settings.domains);
  fields.add(std::to_string(settings.min_uid));
  fields.add(std::to_string(settings.max_uid));
  fields.add(settings.any_shell ? "any shell" : "");
}

void add(Fields& fields, config::SourceType, const config::FileSource& settings) {
  fields.add(settings.path);
  fields.add(config::to_string(settings.format));
  fields.add(config::to_string(settings.encoding));
  fields.add(settings.allow_empty ? "may be empty" : "");
}

}  // namespace

Digest settings_fingerprint(const config::Source& source) {
  Fields fields;
  fields.add(config::to_string(source.type));
  std::visit([&](const auto& details) { add(fields, source.type, details); }, source.details);
  return fields.finish();
}

}  // namespace rcptsync::source
