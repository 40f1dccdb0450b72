// The words of the configuration for the values of its enumerations.
#include "config/config.hpp"

namespace rcptsync::config {

std::string_view to_string(SourceType type) {
  switch (type) {
    case SourceType::active_directory:
      return "active-directory";
    case SourceType::ldap:
      return "ldap";
    case SourceType::accounts:
      return "accounts";
    case SourceType::table:
      return "table";
    case SourceType::exchange55:
      return "exchange55";
  }
  return "";
}

std::string_view to_string(Mode mode) {
  switch (mode) {
    case Mode::scp:
      return "scp";
    case Mode::receive:
      return "receive";
  }
  return "";
}

std::string_view to_string(Format format) {
  switch (format) {
    case Format::postfix:
      return "postfix";
    case Format::postfix_access:
      return "postfix-access";
    case Format::exim:
      return "exim";
    case Format::sendmail:
      return "sendmail";
    case Format::opensmtpd:
      return "opensmtpd";
    case Format::list:
      return "list";
  }
  return "";
}

std::string_view to_string(MapType type) {
  switch (type) {
    case MapType::automatic:
      return "auto";
    case MapType::lmdb:
      return "lmdb";
    case MapType::cdb:
      return "cdb";
    case MapType::hash:
      return "hash";
    case MapType::texthash:
      return "texthash";
  }
  return "";
}

}  // namespace rcptsync::config
