#include <string_view>

#include "journal/journal.hpp"

namespace rcptsync::journal {

// Made once by `systemd-id128 new` and never changed: people and programs search for them.
std::string_view message_id(EventKind kind) {
  switch (kind) {
    case EventKind::started:
      return "61ef1a08e774443a87b8fb371c55fbff";
    case EventKind::stopping:
      return "409eed5c3cc64a2f975846ee36d0c04b";
    case EventKind::reloaded:
      return "0864afe1aa554ae18f77291638275861";
    case EventKind::reload_refused:
      return "d6eadcb38bd74f91a1bf11cbd0301064";
    case EventKind::poll_unchanged:
      return "e4015d47f2ea4a0892c345ccee67e77f";
    case EventKind::poll_changed:
      return "f903c655c1d44dd38c74f426fdd02c72";
    case EventKind::poll_failed:
      return "dbcdbc1bb90f43c7b424de4f2d84820b";
    case EventKind::change_held:
      return "f9777e72902a41b29910a188f4156eac";
    case EventKind::change_approved:
      return "0cf9c7cab4694fcba72538d07cabcf31";
    case EventKind::change_rejected:
      return "e77bffddae364df3bc12c7d7fbec9588";
    case EventKind::committed:
      return "cbac0e032d5940e1a6646c4850e118e4";
    case EventKind::push_started:
      return "6fbb15c0ee13468a8d63f2b342bbfb89";
    case EventKind::push_done:
      return "71bffa04cdfc47dead9cbcc489ff72dc";
    case EventKind::push_failed:
      return "bd7e7425f55e4bf9bded1688302c11af";
    case EventKind::target_current:
      return "043692326c26469b9193a52956639af8";
    case EventKind::target_drifted:
      return "ed542917471d4bad89f5300779f8b330";
    case EventKind::verify_failed:
      return "25dec22806b84d4f9c114c34712131b2";
    case EventKind::address_dropped:
      return "1a9eed116f80477bad9d0ac816e4ad77";
    case EventKind::rolled_back:
      return "1c8589074b4e4e408ec363c65c09f757";
    case EventKind::diagnostic:
      return "";
  }
  return "";
}

}  // namespace rcptsync::journal
