#include "gateway/client/curl_security.h"
#include "gateway/base/slice.h"
#include <curl/curl.h>

static bool url_is_https(const char *url) {
    return slice_starts_with_nocase(slice_of(url), SLICE("https:"));
}

void curl_set_security(void *easy, const char *ca_file, const char *url) {
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    /* It takes the place of the system's file; the system's folder is still believed. */
    if (ca_file) curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
    if (!url_is_https(url)) curl_easy_setopt(easy, CURLOPT_PROXY, "");
}
