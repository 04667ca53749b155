//! Assets: files that pages link to, under addresses that contain a hash of their content.

use std::sync::LazyLock;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::compression::{accepts_gzip, gzip};

/// The path that all assets lie below.
pub const ASSETS_PATH: &str = "/assets/";
/// Hexadecimal digits of the hash in an address.
const HASH_LEN: usize = 16;
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Name of the library that draws charts, uPlot 1.6.32. Its file is a script, not a module.
const UPLOT: &str = "uplot.js";

/// Assets of pages with charts: names of style sheets and scripts.
pub const CHART_ASSETS: &[&str] = &["uplot.css", "charts.css", UPLOT, "charts.js"];

/// Files by name and media type.
const FILES: &[(&str, &str, &[u8])] = &[
    (
        "pages.css",
        "text/css; charset=utf-8",
        include_bytes!("../assets/pages.css"),
    ),
    (
        "console.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../assets/console.js"),
    ),
    (
        "charts.css",
        "text/css; charset=utf-8",
        include_bytes!("../assets/charts.css"),
    ),
    (
        "charts.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../assets/charts.js"),
    ),
    (
        "uplot.css",
        "text/css; charset=utf-8",
        include_bytes!("../assets/vendor/uplot/uPlot.min.css"),
    ),
    (
        UPLOT,
        "text/javascript; charset=utf-8",
        include_bytes!("../assets/vendor/uplot/uPlot.iife.min.js"),
    ),
    (
        "favicon.svg",
        "image/svg+xml",
        include_bytes!("../assets/favicon.svg"),
    ),
];

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let asset = |&(name, media_type, bytes): &(&'static str, &'static str, &'static [u8])| {
        Asset::new(name, media_type, bytes)
    };
    FILES.iter().map(asset).collect()
});

/// A file with its address.
struct Asset {
    name: &'static str,
    media_type: HeaderValue,
    path: String,
    bytes: Bytes,
    gzipped: Bytes,
}

impl Asset {
    fn new(name: &'static str, media_type: &'static str, bytes: &'static [u8]) -> Self {
        let hash: String = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let hash = &hash[..HASH_LEN];
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        Self {
            name,
            media_type: HeaderValue::from_static(media_type),
            path: format!("{ASSETS_PATH}{stem}.{hash}.{extension}"),
            bytes: Bytes::from_static(bytes),
            gzipped: gzip(bytes, Compression::best()),
        }
    }
}

/// Returns the address of the asset `name`, such as `/assets/pages.0123456789abcdef.css`; empty if no asset has the name.
#[must_use]
pub fn asset_path(name: &str) -> &'static str {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    asset.map_or("", |asset| &asset.path)
}

/// Returns true if an asset is a style sheet.
pub(crate) fn is_style_sheet(name: &str) -> bool {
    name.ends_with(".css")
}

/// Returns true if an asset is a module of scripts, and not a script of its own.
pub(crate) fn is_module(name: &str) -> bool {
    name != UPLOT
}

/// Returns the response for a path below [`ASSETS_PATH`]: the asset, compressed if the client accepts gzip, or 404.
#[must_use]
pub fn asset_response(path: &str, headers: &HeaderMap) -> Response<Body> {
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == path) else {
        let mut response = Response::new(Body::from("No such asset.\n"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        put(&mut response, header::CACHE_CONTROL, "no-store");
        put(
            &mut response,
            header::CONTENT_TYPE,
            "text/plain; charset=utf-8",
        );
        return response;
    };
    let is_gzipped = accepts_gzip(headers) && asset.gzipped.len() < asset.bytes.len();
    let bytes = if is_gzipped {
        &asset.gzipped
    } else {
        &asset.bytes
    };
    let mut response = Response::new(Body::from(bytes.clone()));
    let own = response.headers_mut();
    own.insert(header::CONTENT_TYPE, asset.media_type.clone());
    own.insert(header::CACHE_CONTROL, FOREVER);
    put(&mut response, header::VARY, "accept-encoding");
    put(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // An SVG image can be opened as a document of its own.
    put(
        &mut response,
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'",
    );
    if is_gzipped {
        put(&mut response, header::CONTENT_ENCODING, "gzip");
    }
    response
}

fn put(response: &mut Response<Body>, name: HeaderName, value: &'static str) {
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http_body_util::BodyExt;

    use super::*;

    /// SHA-256 of the files of uPlot 1.6.32, as npm has them: https://registry.npmjs.org/uplot/-/uplot-1.6.32.tgz.
    const VENDORED: [(&str, &str); 3] = [
        (
            "LICENSE",
            "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
        ),
        (
            "uPlot.iife.min.js",
            "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
        ),
        (
            "uPlot.min.css",
            "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
        ),
    ];

    #[test]
    fn vendored_files_are_those_of_the_published_package() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/vendor/uplot");
        let mut names: Vec<_> = std::fs::read_dir(&folder)
            .expect("a folder")
            .map(|file| {
                file.expect("a file")
                    .file_name()
                    .into_string()
                    .expect("a name")
            })
            .collect();
        names.sort();
        assert_eq!(names, VENDORED.map(|(name, _)| name));
        for (name, expected) in VENDORED {
            let bytes = std::fs::read(folder.join(name)).expect("a file");
            let digest = Sha256::digest(&bytes);
            let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hash, expected, "{name}");
        }
    }

    #[test]
    fn every_asset_of_charts_is_served() {
        for name in CHART_ASSETS {
            assert!(asset_path(name).starts_with(ASSETS_PATH), "{name}");
        }
    }

    fn accepting(value: &str) -> HeaderMap {
        let value = HeaderValue::from_str(value).expect("plain text");
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)])
    }

    #[tokio::test]
    async fn every_file_is_served_at_its_address_for_ever() {
        for &(name, media_type, bytes) in FILES {
            let path = asset_path(name);
            let plain = asset_response(path, &HeaderMap::new());
            assert_eq!(plain.status(), StatusCode::OK, "{path}");
            assert_eq!(plain.headers()[header::CONTENT_TYPE], media_type);
            assert_eq!(plain.headers()[header::CACHE_CONTROL], FOREVER);
            let body = plain
                .into_body()
                .collect()
                .await
                .expect("a body")
                .to_bytes();
            assert_eq!(body, bytes, "{path}");
            let packed = asset_response(path, &accepting("br, gzip;q=0.8"));
            if packed.headers().contains_key(header::CONTENT_ENCODING) {
                let body = packed.into_body().collect().await.expect("a body");
                let mut unpacked = Vec::new();
                flate2::read::GzDecoder::new(&body.to_bytes()[..])
                    .read_to_end(&mut unpacked)
                    .expect("gzip");
                assert_eq!(unpacked, bytes, "{path}");
            }
        }
    }

    #[test]
    fn style_sheet_and_script_are_compressed_unless_the_client_refuses() {
        for name in ["pages.css", "console.js"] {
            let coded = |value: &str| {
                let response = asset_response(asset_path(name), &accepting(value));
                response.headers().contains_key(header::CONTENT_ENCODING)
            };
            assert!(coded("gzip, deflate, br"));
            for refusing in ["gzip;q=0", "br", "identity", "gzip;q=x"] {
                assert!(!coded(refusing), "{refusing}");
            }
        }
    }

    #[test]
    fn an_old_address_is_not_found_and_not_cached() {
        let response = asset_response("/assets/pages.0000000000000000.css", &HeaderMap::new());
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    }
}
