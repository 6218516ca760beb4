//! MANIFEST and WATERMARK from arbitrary bytes: what decodes encodes to the same bytes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portplex::wal::Manifest;
use portplex::wal::Watermark;

fuzz_target!(|input: &[u8]| {
    if let Ok(manifest) = Manifest::decode(input) {
        let encoded = manifest.encode();
        let (content, padding) = input.split_at(encoded.len());
        assert_eq!(encoded, content);
        assert!(padding.iter().all(|byte| *byte == 0));
    }
    // The digest keeps most inputs out; with one that matches the fields are reached.
    let mut sealed = input.to_vec();
    if let Some(end) = sealed.len().checked_sub(32) {
        let digest = *blake3::hash(&sealed[..end]).as_bytes();
        sealed[end..].copy_from_slice(&digest);
        if let Ok(manifest) = Manifest::decode(&sealed) {
            assert_eq!(manifest.encode(), sealed);
        }
    }
    if let Some(watermark) = Watermark::decode(input) {
        assert_eq!(watermark.encode(), input);
    }
});
