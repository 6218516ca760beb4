//! MANIFEST from arbitrary bytes: what decodes encodes to the same bytes again.

use portplex::wal::Manifest;

/// One input: as it is, and once more with a size and a digest that match, so that the fields are
/// reached.
pub fn run(input: &[u8]) {
    if let Ok(manifest) = Manifest::decode(input) {
        let encoded = manifest.encode();
        let (content, padding) = input.split_at(encoded.len());
        assert_eq!(encoded, content);
        assert!(padding.iter().all(|byte| *byte == 0));
    }
    let mut sealed = input.to_vec();
    let Some(end) = sealed.len().checked_sub(32).filter(|end| *end >= 24) else { return };
    let size = (sealed.len() as u64).to_le_bytes();
    sealed[16..24].copy_from_slice(&size);
    let digest = *blake3::hash(&sealed[..end]).as_bytes();
    sealed[end..].copy_from_slice(&digest);
    if let Ok(manifest) = Manifest::decode(&sealed) {
        assert_eq!(manifest.encode(), sealed);
    }
}
