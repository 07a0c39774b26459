/* htpasswd.h - a file of users with bcrypt hashes, and the check of a password against one.
 *
 * Lines of `name:hash`; blank ones and those that begin with `#` say nothing. A hash is bcrypt as `htpasswd -B` writes
 * it: $2y$, $2b$ or $2a$, two digits of cost (4 to 16: each step doubles the time), 22 characters of salt, 31 of
 * digest. Anything else is refused with its line, as is a name that stands there twice.
 *
 * Checking takes milliseconds to seconds, so it belongs on another thread: htpasswd_matches touches nothing but its
 * arguments. For a name that is not there, a hash of somebody else is checked in vain, so that time does not tell
 * who exists.
 */
#pragma once
#include "gateway/base/error.h"
#include "gateway/base/siphash.h"

#define HTPASSWD_SIZE_LIMIT (1024 * 1024)
#define HTPASSWD_HASH_SIZE 60
#define HTPASSWD_COST_MAX 16
#define HTPASSWD_PASSWORD_MAX 72 /* bytes; bcrypt would ignore the rest */

struct htpasswd;
/* NULL with the error set, whose line is that of the file. Copies what it needs. */
struct htpasswd *htpasswd_read(struct slice text, struct error *e);
/* The same from a file, which the error names. */
struct htpasswd *htpasswd_open(const char *path, struct error *e);
void htpasswd_free(struct htpasswd *h); /* NULL is fine */
size_t htpasswd_count(const struct htpasswd *h);
/* The user's hash, or absent. */
struct slice htpasswd_hash_of(const struct htpasswd *h, struct slice user);
/* Some user's hash for a name that has none; which one, nobody can tell without the key. It is the same for every
 * password: as with a true user's hash, all guesses take the time of one cost. */
struct slice htpasswd_decoy(const struct htpasswd *h, const struct siphash_key *key, struct slice user);
/* Whether the hash, NUL-terminated, is that of the password. Any thread. */
bool htpasswd_matches(const char *hash, const char *password);
