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

std::string_view to_string(Encoding encoding) {
  switch (encoding) {
    case Encoding::automatic:
      return "auto";
    case Encoding::utf_8:
      return "utf-8";
    case Encoding::utf_16:
      return "utf-16";
    case Encoding::windows_1252:
      return "windows-1252";
  }
  return "";
}

std::string_view to_string(TableFormat format) {
  switch (format) {
    case TableFormat::automatic:
      return "auto";
    case TableFormat::list:
      return "list";
    case TableFormat::postfix:
      return "postfix";
    case TableFormat::vbscript:
      return "vbscript";
    case TableFormat::csv:
      return "csv";
    case TableFormat::ldif:
      return "ldif";
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
