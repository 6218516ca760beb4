//! What is known of a file system by its magic number: whether a store is safe on it.
#![forbid(unsafe_code)]

/// What to think of a file system as the place of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Its name; `unknown` if the number is not known.
    pub name: &'static str,
    /// What it does that matters here.
    pub kind: Kind,
    /// What an operator should know; empty if there is nothing to say.
    pub text: &'static str,
}

/// What a file system does that matters to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes are written over where they are: a commit into a file that is full of zeros needs no room.
    InPlace,
    /// Bytes are written elsewhere each time, or compressed: a commit can meet "disk full".
    CopyOnWrite,
    /// In memory: lost when the machine starts again.
    Memory,
    /// A container's layer: lost with the container.
    Overlay,
    /// On another machine: locks and syncs do not hold what they promise.
    Network,
    /// Not known.
    Unknown,
}

impl Advice {
    /// By the magic number that `statfs(2)` gives.
    #[must_use]
    pub fn of(magic: u64) -> Self {
        // The kernel's numbers have 32 bits; some systems give them with a sign.
        let known = KNOWN.iter().find(|(number, _, _)| *number == magic & 0xffff_ffff);
        let (name, kind) = known.map_or(("unknown", Kind::Unknown), |(_, name, kind)| (*name, *kind));
        Self { name, kind, text: kind.text() }
    }
}

impl Kind {
    /// What an operator should know; empty if there is nothing to say.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::InPlace => "",
            Self::CopyOnWrite => {
                "it writes elsewhere than before, or compresses: a commit can meet \"disk full\", and the service then \
                 stops; keep room free, or use ext4 or xfs"
            }
            Self::Memory => "it is in memory: everything is lost when the machine starts again",
            Self::Overlay => "it is a container's layer: everything is lost with the container; mount a volume",
            Self::Network => {
                "it is on another machine: neither its locks nor its syncs are to be relied on; use a local disk"
            }
            Self::Unknown => "it is not known here: make sure that it is local and that its syncs are honest",
        }
    }
}

/// Magic numbers, from the kernel's headers and the file systems' own.
const KNOWN: &[(u64, &str, Kind)] = &[
    (0xef53, "ext4", Kind::InPlace),
    (0x5846_5342, "xfs", Kind::InPlace),
    (0x3153_464a, "jfs", Kind::InPlace),
    (0x9123_683e, "btrfs", Kind::CopyOnWrite),
    (0x2fc1_2fc1, "zfs", Kind::CopyOnWrite),
    (0xca45_1a4e, "bcachefs", Kind::CopyOnWrite),
    (0xf2f5_2010, "f2fs", Kind::CopyOnWrite),
    (0x3434, "nilfs", Kind::CopyOnWrite),
    (0x0102_1994, "tmpfs", Kind::Memory),
    (0x8584_58f6, "ramfs", Kind::Memory),
    (0x794c_7630, "overlay", Kind::Overlay),
    (0x6969, "nfs", Kind::Network),
    (0xff53_4d42, "cifs", Kind::Network),
    (0xfe53_4d42, "smb2", Kind::Network),
    (0x517b, "smb", Kind::Network),
    (0x0102_1997, "9p", Kind::Network),
    (0x00c3_6400, "ceph", Kind::Network),
    (0x6573_5546, "fuse", Kind::Network),
    (0x5346_414f, "afs", Kind::Network),
    (0x6b41_4653, "afs", Kind::Network),
    (0x7375_7245, "coda", Kind::Network),
    (0x0bd0_0bd0, "lustre", Kind::Network),
    (0x1983_0326, "beegfs", Kind::Network),
    (0x4750_4653, "gpfs", Kind::Network),
    (0x0116_1970, "gfs2", Kind::Network),
    (0x7461_636f, "ocfs2", Kind::Network),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn is(magic: u64, name: &str, kind: Kind) {
        let advice = Advice::of(magic);
        assert_eq!((advice.name, advice.kind), (name, kind));
        assert_eq!(advice.text.is_empty(), kind == Kind::InPlace, "{name}");
    }

    #[test]
    fn file_systems_that_write_in_place_need_no_advice() {
        is(0xef53, "ext4", Kind::InPlace);
        is(0x5846_5342, "xfs", Kind::InPlace);
    }

    #[test]
    fn copy_on_write_can_meet_a_full_disk_at_a_commit() {
        for (magic, name) in
            [(0x9123_683e, "btrfs"), (0x2fc1_2fc1, "zfs"), (0xca45_1a4e, "bcachefs"), (0xf2f5_2010, "f2fs")]
        {
            is(magic, name, Kind::CopyOnWrite);
        }
        is(0xffff_ffff_9123_683e, "btrfs", Kind::CopyOnWrite);
    }

    #[test]
    fn what_is_in_memory_is_lost_with_the_machine() {
        is(0x0102_1994, "tmpfs", Kind::Memory);
        is(0x8584_58f6, "ramfs", Kind::Memory);
    }

    #[test]
    fn a_container_layer_is_lost_with_the_container() {
        is(0x794c_7630, "overlay", Kind::Overlay);
    }

    #[test]
    fn what_is_on_another_machine_is_not_to_be_relied_on() {
        for (magic, name) in [
            (0x6969, "nfs"),
            (0xff53_4d42, "cifs"),
            (0xfe53_4d42, "smb2"),
            (0x0102_1997, "9p"),
            (0x00c3_6400, "ceph"),
            (0x6573_5546, "fuse"),
        ] {
            is(magic, name, Kind::Network);
        }
    }

    #[test]
    fn what_is_not_known_says_so() {
        is(0x1234_5678, "unknown", Kind::Unknown);
        is(0, "unknown", Kind::Unknown);
    }

    #[test]
    fn no_number_stands_twice() {
        for (place, (magic, ..)) in KNOWN.iter().enumerate() {
            assert!(KNOWN[..place].iter().all(|(other, ..)| other != magic), "{magic:#x}");
        }
    }
}
