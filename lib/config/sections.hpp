// sections — one reading function for each section of the configuration. Each records the faults of
// its section and fills in what is right; sections that others are checked against are read first.
#pragma once

#include <filesystem>
#include <vector>

#include "config/config.hpp"
#include "config/reader.hpp"

namespace rcptsync::config {

void read_schedule(const Value& value, Schedule& schedule);

/// `folder`: what relative local paths are relative to, here and below.
void read_sources(const Value& value, const std::filesystem::path& folder,
                  std::vector<Source>& sources);
/// The keys of source types active-directory and ldap.
void read_ldap(Map& map, SourceType type, const std::filesystem::path& folder, LdapSource& ldap);
void read_bind(const Value& value, const std::filesystem::path& folder, Bind& bind);

void read_recipients(const Value& value, const std::filesystem::path& folder,
                     Recipients& recipients);
/// The list `recipients.exclude`; an item `file:NAME` adds every line of that file.
void read_exclusions(const Value& value, const std::filesystem::path& folder,
                     std::vector<Exclusion>& exclusions);
/// One item of `recipients.static`.
std::optional<StaticEntry> read_static(const Value& value);

void read_guard(const Value& value, const Recipients& recipients, Guard& guard);
void read_removal(const Value& value, Removal& removal);

/// `defaults` is the value of target_defaults, or null.
void read_targets(const Value* defaults, const Value* targets, const std::filesystem::path& folder,
                  std::vector<Target>& into);
/// The keys that a target and target_defaults have in common.
void read_target_settings(Map& map, const std::filesystem::path& folder, Target& target);

void read_rollout(const Value& value, const std::vector<Target>& targets, Rollout& rollout);
void read_history(const Value& value, History& history);
void read_notify(const Value& value, Notify& notify);

/// Records a fault for everything that is right but that this version cannot do yet.
void refuse_not_yet(const Node& root, FaultList& faults);

}  // namespace rcptsync::config
