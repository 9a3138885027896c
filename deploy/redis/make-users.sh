#!/usr/bin/env bash
# Writes users.acl from users.acl.template for a password that it makes, and prints the gateway's Redis URL.
#
#   deploy/redis/make-users.sh /etc/redis/users.acl [host[:port]]
#
# The file holds only the password's hash. The URL is the secret: put it into the file that
# OWNERSHIP_GATEWAY_REDIS__URL_FILE names, and nowhere else. Redis reads the file when it starts, or after ACL LOAD.
#
# An ACL file has no comments, so what the user's rights are for stands here:
#   ~og:v2:*                         the gateway's keys, and nobody else's; no channel
#   getrange set unlink              answers, of which no more is read than ours have
#   eval evalsha                     scripts, which compare before they write
#   hget hset hdel hstrlen           the store budget and the invalidations, which all replicas share
#   pexpire pttl time                the same, and claims of look-ups
# Not there, because not everybody needs it: +select for another database than the 0 in the URL;
# +cluster|slots +command +asking for Redis Cluster.
set -euo pipefail

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  echo "usage: ${0##*/} FILE [host[:port]]" >&2
  exit 2
fi
file=$1
host=${2:-127.0.0.1:6379}
if [ -e "$file" ]; then
  echo "error: $file is there already; delete it to make a new password" >&2
  exit 1
fi

# 32 random bytes in hexadecimal: nothing in it needs escaping in a URL.
password=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
hash=$(printf %s "$password" | sha256sum | cut -d ' ' -f 1)
umask 077
sed "s/@PASSWORD_SHA256@/$hash/" "$(dirname "$0")/users.acl.template" >"$file"
echo "redis://ownership-gateway:$password@$host/0"
