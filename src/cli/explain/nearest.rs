//! The names that are most like one that is not there.
#![forbid(unsafe_code)]

use strsim::levenshtein as distance;

/// Most names that are offered.
const OFFERED_MAX: usize = 3;

/// The names at the least distance from `asked`, the nearest first; none that has next to nothing in
/// common with it.
pub(crate) fn nearest(asked: &str, names: impl IntoIterator<Item = String>) -> Vec<String> {
    let limit = asked.chars().count().div_ceil(2);
    let with_distance = names.into_iter().map(|name| (distance(asked, &name), name));
    let mut near: Vec<(usize, String)> = with_distance.filter(|(distance, _)| *distance <= limit).collect();
    near.sort();
    near.dedup();
    near.into_iter().take(OFFERED_MAX).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first_and_strangers_not_at_all() {
        assert_eq!((distance("SYS1", "SYS1"), distance("SYS1", "SYS12"), distance("", "ABC")), (0, 1, 3));
        assert_eq!(distance("KITTEN", "SITTING"), 3);
        let names = ["SYS2.TCPIP", "SYS11.TCPIP", "PROD.EGRESS-7", "SYS1.TCPIPA"].map(str::to_owned);
        assert_eq!(nearest("SYS1.TCPIP", names), ["SYS1.TCPIPA", "SYS11.TCPIP", "SYS2.TCPIP"]);
        assert_eq!(nearest("Q", ["SYS1".to_owned()]), Vec::<String>::new());
    }
}
