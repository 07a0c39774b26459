#!/usr/bin/perl
# How often each word is in a text, on the native runtime API, with the modules that come with Perl.
#
# POST /words answers the text's words, most frequent first: {"words": [["to", 2], ["be", 2], ["or", 1]]}
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;

sub handle {
    my ($text) = @_;
    utf8::decode($text) or return (400, {title => 'The text is not UTF-8'});
    my (%count, @order);
    for my $word (map { lc } $text =~ /(\w+)/g) {
        push @order, $word unless $count{$word}++;
    }
    # The sort is stable: of two that are as frequent, the first comes first.
    my @sorted = sort { $count{$b} <=> $count{$a} } @order;
    return (200, {words => [map { [$_, $count{$_}] } @sorted]});
}

# An answer is an HTTP message, which the body of the call carries (docs/runtime-api.md).
sub message {
    my ($status, $document) = @_;
    my $body = encode_json($document) . "\n";
    return "HTTP/1.1 $status \r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
}

my $api = "$ENV{EXECGATE_RUNTIME_API}/v1";
my $http = HTTP::Tiny->new(timeout => 86400, keep_alive => 1, no_proxy => '127.0.0.1');
while (1) {
    my $next = $http->get("$api/next"); # waits until there is an event
    last if $next->{status} != 200;     # no more will come
    my ($head, $text) = split /\r\n\r\n/, $next->{content}, 2;
    my ($id) = $head =~ /^Execgate-Invocation-Id: *(\S+)/mi or die "an event without an id\n";
    my ($status, $document) = handle($text);
    $http->post("$api/invocations/$id/response", {content => message($status, $document), headers => {'Content-Type' => 'application/http'}});
}
