//! What a choice costs, in words visited: not more on a full list than on an empty one, and not
//! more among ten thousand lists than on the only one.
#![forbid(unsafe_code)]

use super::super::bits::take_visited;
use super::*;

/// Words that one acquire of one group may visit.
const WORDS_MAX: usize = 300;

fn cost_of_one_more(lists: u16, filled: u16) -> usize {
    let mut rig = Rig::new();
    rig.careful = false;
    let stack = rig.ready("A", list(1));
    for number in 1..lists {
        let [high, low] = number.to_be_bytes();
        let target = Target::List(format!("10.2.{high}.{low}").parse().unwrap(), Transport::Tcp);
        rig.ask(Request::Define { target }).unwrap();
    }
    let others = rig.ready("B", list(1));
    if filled > 0 {
        rig.acquire(others, filled, filled).unwrap();
    }
    let request = |number| {
        let body = Body::Acquire { member: stack.member, at_least: 1, at_most: 1 };
        Request::Stack { actor: stack.actor, number, lowest: number, body }
    };
    let mut most = 0;
    for number in 3..9 {
        take_visited();
        rig.context.random = u64::from(number) * 0x1234_5678_9ABC_DEF1;
        let mut events = Vec::new();
        rig.structure.decide(&request(number), &rig.context, &mut events).unwrap();
        most = most.max(take_visited());
        rig.ask(request(number)).unwrap();
    }
    most
}

#[test]
fn a_choice_visits_few_words_however_full_the_list_is() {
    for filled in [0, 504, 907, 998] {
        let words = cost_of_one_more(1, filled);
        assert!(words <= WORDS_MAX, "{filled} groups held: {words} words");
    }
}

#[test]
fn a_choice_visits_few_words_however_many_lists_there_are() {
    let words = [cost_of_one_more(1, 504), cost_of_one_more(10_000, 504)];
    assert_eq!(words[0], words[1]);
}

#[test]
fn a_choice_among_partial_groups_visits_few_words() {
    let mut rig = Rig::new();
    rig.careful = false;
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    for number in 16..1_024 {
        rig.claim(b, number * 64).unwrap();
    }
    take_visited();
    rig.acquire(a, 1, 1).unwrap();
    let words = take_visited();
    assert!(words <= WORDS_MAX, "{words} words");
}

#[test]
fn where_allowable_and_free_never_overlap_a_refusal_visits_each_mask_a_few_times() {
    let mut rig = Rig::new();
    rig.careful = false;
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let mut odd = [0; 1_024];
    odd[16..].fill(0xAAAA_AAAA_AAAA_AAAA);
    rig.allow(b.actor, PortSet::from_words(odd));
    rig.acquire(b, 1_008, 1_008).unwrap();
    rig.allow(a.actor, PortSet::from_words(odd));
    take_visited();
    assert_eq!(rig.acquire(a, 1, 1).unwrap_err().name(), "exhausted");
    let words = take_visited();
    assert!(words <= 8 * 1_024, "{words} words");
}
