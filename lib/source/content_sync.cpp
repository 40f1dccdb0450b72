// content_sync — increments of a server with RFC 4533 content synchronization (OpenLDAP's syncprov).
#include "source/increments.hpp"

namespace rcptsync::source {
namespace {

class ContentSync final : public Increments {
 public:
  Result<Mark> mark(LdapConnection&) override {
    Mark mark;
    mark.note = "this server is read in full";
    return mark;
  }
  Result<Increment> read(LdapConnection&, const Mark&, recipient::ObjectSink&) override {
    return Error{Errc::foreign, "this server is read in full"};
  }
  Result<> listen(LdapConnection&, const Mark&, const std::function<void()>&) override {
    return Error{Errc::invalid, "this server is read in full"};
  }
};

}  // namespace

std::unique_ptr<Increments> create_content_sync(const config::LdapSource&) {
  return std::make_unique<ContentSync>();
}

}  // namespace rcptsync::source
