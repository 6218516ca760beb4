//! Records from arbitrary bytes: what decodes encodes to the same bytes again.

use portplex::record;

/// One input.
pub fn run(input: &[u8]) {
    let Some((count, payload)) = input.split_first() else { return };
    if let Ok(events) = record::decode_all(payload, u32::from(*count)) {
        let mut again = Vec::new();
        events.iter().for_each(|event| record::encode(event, &mut again));
        assert_eq!(again, payload, "the encoding is canonical");
    }
}
