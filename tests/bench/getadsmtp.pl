#!/usr/bin/perl
# getadsmtp.pl — the Perl script that many gateways run from cron, for bench.py to measure beside
# rcptsync: reads all proxyAddresses page by page and prints a table for postmap. It does what the
# scripts in circulation do and no more: addresses are lower-cased and made unique, nothing is
# checked, compared or guarded.
#
#     getadsmtp.pl URI CA_FILE BIND_DN PASSWORD_FILE BASE FILTER > relay_recipients
use strict;
use warnings;

use Net::LDAP;
use Net::LDAP::Constant qw(LDAP_CONTROL_PAGED);
use Net::LDAP::Control::Paged;

my ($uri, $ca_file, $bind_dn, $password_file, $base, $filter) = @ARGV;

open(my $file, '<', $password_file) or die "$password_file: $!\n";
chomp(my $password = <$file>);
close($file);

my $ldap = Net::LDAP->new($uri, verify => 'require', cafile => $ca_file) or die "$uri: $@\n";
my $bound = $ldap->bind($bind_dn, password => $password);
die 'bind: ', $bound->error, "\n" if $bound->code;

my %table;
my $page = Net::LDAP::Control::Paged->new(size => 1000);
while (1) {
  my $result = $ldap->search(
    base    => $base,
    filter  => $filter,
    attrs   => ['proxyAddresses'],
    control => [$page],
  );
  die 'search: ', $result->error, "\n" if $result->code;
  for my $entry ($result->entries) {
    for my $value ($entry->get_value('proxyAddresses')) {
      $table{lc $1} = 1 if $value =~ /^smtp:(.+)$/i;
    }
  }
  my ($response) = $result->control(LDAP_CONTROL_PAGED) or last;
  my $cookie = $response->cookie;
  last unless defined $cookie && length $cookie;
  $page->cookie($cookie);
}
$ldap->unbind;

print "$_\tOK\n" for sort keys %table;
