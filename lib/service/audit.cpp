#include "service/audit.hpp"

namespace rcptsync::service {

Audit::Audit(const sync::KnownObjects& known, const sync::ObjectChanges& found) : known_(known) {
  for (const auto& object : found.upserts) found_.emplace(object.key);
  for (const auto& key : found.removals) {
    found_.emplace(key);
    gone_.emplace(key);
  }
}

bool Audit::present(std::string_view key) {
  if (found_.contains(key)) present_.emplace(key);
  return known_.find(key) != sync::KnownObjects::npos;
}

void Audit::restart() {
  named_.clear();
  present_.clear();
}

void Audit::name(std::string_view key) {
  if (found_.contains(key)) named_.emplace(key);
}

std::vector<std::string> Audit::missed(bool unseen_gone, bool deletions_unseen) const {
  std::vector<std::string> missed;
  for (const auto& key : found_) {
    const bool told = named_.contains(key) || (unseen_gone && !present_.contains(key));
    if (!told && !(deletions_unseen && gone_.contains(key))) missed.push_back(key);
  }
  return missed;
}

}  // namespace rcptsync::service
