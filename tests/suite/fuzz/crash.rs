//! Power cuts where the input says: the workload, the place, what is kept of what was not synced, and
//! once more in the recovery.

use crate::crash::judge::{FileHashes, Judge, Verdict};
use crate::crash::plan::Plan;
use crate::crash::workload::run_chosen;
use crate::random::Random;
use portplex::disk::sim::{Loss, SimDisk};

/// So many bytes say what happens; the others choose what the workload does.
const HEAD: usize = 24;
const TURNS_MAX: u8 = 12;

/// One cut, and one in its recovery.
pub fn run(input: &[u8]) {
    let Some((head, choices)) = input.split_first_chunk::<HEAD>() else { return };
    let [turns, close, kill, reboot, checkpoint, flags, first, second, ..] = *head;
    let turn = |byte: u8| if byte & 128 == 0 { u32::MAX } else { u32::from(byte & 15) };
    let plan = Plan {
        seed: u64::from(first) << 8 | u64::from(second),
        turns: 1 + u32::from(turns % TURNS_MAX),
        close_at: turn(close),
        kill_at: turn(kill),
        reboot_at: turn(reboot),
        checkpoint_every: if checkpoint & 128 == 0 { u32::MAX } else { 1 + u32::from(checkpoint & 7) },
        ends_closed: flags & 1 == 1,
        is_small: flags & 2 == 2,
        packs: flags & 4 == 4,
    };
    let number = |at: usize| head[at..at + 4].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let calm_disk = SimDisk::new();
    let calm = run_chosen(&calm_disk, &plan, Random::chosen(choices), true);
    assert_eq!(calm.error, None, "the calm run is calm");
    assert_eq!(calm.faults, [""; 0]);

    let disk = SimDisk::new();
    disk.cut_at(number(8) % (calm_disk.changes() + 1));
    let progress = run_chosen(&disk, &plan, Random::chosen(choices), false);
    disk.cut();
    assert_eq!(progress.faults, [""; 0]);
    let judge = Judge::new(plan);
    let mut hashes = FileHashes::default();
    let image = disk.after_power_cut(&loss(flags >> 2, number(12)));
    let (verdict, _) = judge.judge(&image, &mut hashes);
    let last = (progress.acked + usize::from(progress.in_flight)).min(calm.states.len() - 1);
    let state = match &verdict {
        Verdict::Opened(found) => {
            let allowed = &calm.states[progress.acked..=last];
            allowed.iter().find(|state| state.digest == *found).expect("a state between acknowledged and issued")
        }
        Verdict::Begun => return assert!(!progress.inited, "init was acknowledged, and there is no store"),
        Verdict::Refused(what) => panic!("a crash alone, and the open was refused: {what}"),
        Verdict::Bad(fault) => panic!("{fault}"),
    };
    judge.go_on(&image.fork(), state).unwrap_or_else(|fault| panic!("{fault}"));

    let again = image.fork();
    again.cut_at(number(16) % 64);
    let opened = judge.open(&again);
    again.cut();
    drop(opened);
    let (second_verdict, _) = judge.judge(&again.after_power_cut(&loss(flags >> 5, number(20))), &mut hashes);
    assert_eq!(second_verdict, verdict, "another state after a cut in the recovery");
}

fn loss(kind: u8, chosen: u64) -> Loss {
    match kind & 7 {
        0 => Loss::Everything,
        1 => Loss::Nothing,
        2 => Loss::Random(chosen),
        3 => Loss::Shorn(chosen),
        _ => Loss::Except(chosen << 32 | chosen),
    }
}
