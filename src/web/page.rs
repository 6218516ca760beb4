//! The page for people: its files, as they are in the binary.
#![forbid(unsafe_code)]

use axum::Router;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;

/// Nothing from anywhere else, nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// One file.
struct File {
    path: &'static str,
    kind: &'static str,
    content: &'static str,
}

const FILES: &[File] = &[
    File { path: "/", kind: "text/html; charset=utf-8", content: include_str!("page/index.html") },
    File { path: "/page/style.css", kind: "text/css; charset=utf-8", content: include_str!("page/style.css") },
    File { path: "/page/icon.svg", kind: "image/svg+xml", content: include_str!("page/icon.svg") },
    script("/page/main.js", include_str!("page/main.js")),
    script("/page/map.js", include_str!("page/map.js")),
    script("/page/source.js", include_str!("page/source.js")),
    script("/page/text.js", include_str!("page/text.js")),
    script("/page/views.js", include_str!("page/views.js")),
];

const fn script(path: &'static str, content: &'static str) -> File {
    File { path, kind: "text/javascript; charset=utf-8", content }
}

pub(super) fn routes() -> Router {
    FILES.iter().fold(Router::new(), |router, file| {
        let tag = format!("\"{}\"", &blake3::hash(file.content.as_bytes()).to_hex()[..32]);
        router.route(file.path, get(async move |headers: HeaderMap| response(file, &tag, &headers)))
    })
}

fn response(file: &File, tag: &str, asked: &HeaderMap) -> Response {
    let given = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = given.flat_map(|value| value.split(',')).any(|value| value.trim().trim_start_matches("W/") == tag);
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { file.content.into_response() };
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, file.kind);
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    // Looked at again every time: a new release is a new page.
    set(header::CACHE_CONTROL, "no-cache");
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_no_outside_resource_and_has_nothing_inline() {
        for file in FILES {
            let bare = file.content.replace("http://www.w3.org/2000/svg", "");
            for outside in ["http://", "https://", "@import", "url(", "eval(", "innerHTML", "document.write"] {
                assert!(!bare.contains(outside), "{}: {outside}", file.path);
            }
        }
        let html = FILES[0].content;
        for inline in ["<style", "style=", "onclick", "onload", "javascript:"] {
            assert!(!html.contains(inline), "{inline}");
        }
        let scripts = html.matches("<script").count();
        assert_eq!(scripts, html.matches("<script type=\"module\" src=\"/page/").count());
    }
}
