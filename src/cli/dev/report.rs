//! What a person reads before and after the load.
#![forbid(unsafe_code)]

use super::outcome::Outcome;
use super::progress::letter;
use super::run::Opening;
use super::settings::{QUARANTINE, Settings};
use crate::cli::map::Map;
use crate::cli::state::List;
use crate::ident::GroupNumber;
use crate::ident::PortMask;
use crate::ident::Target;
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;

/// Foreign ports that are named; the rest is counted.
const PORTS_NAMED_MAX: usize = 12;

/// Lists that get a map.
const MAPS_MAX: usize = 3;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const BAD: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));

/// Before the load: what runs, and what stands in for what.
pub(super) fn opening(settings: &Settings, opening: &Opening<'_>) -> String {
    let Opening { foreign, found, page } = opening;
    let mut text = String::new();
    let count = settings.stacks.len();
    let sample = if settings.sample { "the sample sysplex" } else { "your sysplex" };
    let _ =
        writeln!(text, "{BOLD}Portplex dev{BOLD:#}: {sample} on this machine, {count} stacks sharing one port space");
    let data = settings.data.display();
    let state = if *found { "found, with what an earlier run left" } else { "new" };
    let _ = writeln!(text, "  structure {} in {data} ({state})", settings.structure);
    for (dvipa, address) in &settings.stand_ins {
        let _ = writeln!(text, "  {address} stands in for DVIPA {dvipa}: real sockets bind its ports there");
    }
    let seconds = QUARANTINE.as_secs();
    let _ = writeln!(
        text,
        "  a port that one stack gives back is kept from the others for {seconds} s here (120 s by default)"
    );
    if !foreign.is_empty() {
        let _ =
            writeln!(text, "  {} reserved in every stack's profile: other programs have them", foreign_ports(foreign));
    }
    if let Some(page) = page {
        let _ = writeln!(text, "  watch it at {page} while it runs");
    }
    for remark in &settings.remarks {
        let _ = writeln!(text, "  {DIM}{remark}{DIM:#}");
    }
    let crashes = match settings.crashes {
        0 => "not killed".to_owned(),
        1 => "killed once with SIGKILL".to_owned(),
        count => format!("killed {count} times with SIGKILL"),
    };
    let _ = write!(
        text,
        "  {} connections in {} s; the facility is {crashes} meanwhile",
        grouped(settings.connections),
        settings.duration.as_secs_f64()
    );
    text
}

/// After it: who has what, the map, the crashes, the verdict, and what to try next.
pub(super) fn closing(outcome: &Outcome) -> String {
    let mut text = String::from("\n");
    stacks(outcome, &mut text);
    // This run binds to DVIPAs only: the explicit-bind pool of its profiles is joined and not used.
    let of_dvipa = |list: &&List| matches!(list.target, Target::List(..));
    for list in outcome.state.lists.iter().filter(of_dvipa).take(MAPS_MAX) {
        let _ = writeln!(text, "\n{BOLD}The 1,024 groups of {}{BOLD:#}", list.target.dvipa_text());
        text.push_str(&map(list, outcome).render());
    }
    crashes(outcome, &mut text);
    verdict(outcome, &mut text);
    next(outcome, &mut text);
    text
}

fn stacks(outcome: &Outcome, text: &mut String) {
    let width = outcome.stacks.iter().map(|(name, _)| name.as_str().len()).max().unwrap_or(0).max(5);
    let _ = writeln!(
        text,
        "{BOLD}   {:width$}  connections  groups  ports  grants given back  claims (refused)  found (given back){BOLD:#}",
        "stack"
    );
    for (place, (name, tally)) in outcome.stacks.iter().enumerate() {
        let held = outcome.held(name);
        let claims = format!("{} ({})", tally.claims, tally.claims_refused);
        let adopted = format!("{} ({})", tally.adopted_groups, tally.adopted_given_back);
        let _ = writeln!(
            text,
            " {} {:width$}  {:>11}  {:>6}  {:>5}  {:>17}  {claims:>16}  {adopted:>18}",
            letter(place),
            name.as_str(),
            grouped(tally.connections),
            held.groups,
            grouped(held.ports),
            grouped(tally.given_back),
        );
    }
    legend(outcome, text);
}

/// What the columns of a run mean, for whoever reads them the first time.
fn legend(outcome: &Outcome, text: &mut String) {
    let _ = writeln!(text, "   {DIM}claims: one port by its number, in one group that all stacks want;{DIM:#}");
    let found = match outcome.found {
        true => "grants of an earlier run, given back where the kernel has no socket on them",
        false => "nothing, the store is new",
    };
    let _ = writeln!(text, "   {DIM}found: {found}{DIM:#}");
}

/// The list's map with the stacks in the order of their letters.
fn map(list: &List, outcome: &Outcome) -> Map {
    let mut list = list.clone();
    let stacks = &outcome.stacks;
    list.members
        .sort_by_key(|member| stacks.iter().position(|(name, _)| *name == member.connector).unwrap_or(usize::MAX));
    let mut map = Map::of_list(&list);
    let mut allowed = [PortMask::NONE; GroupNumber::COUNT as usize];
    for stack in &outcome.settings.stacks {
        let set = stack.profile.allowable(list.target.transport());
        for group in GroupNumber::all() {
            allowed[group.index()] = allowed[group.index()].or(set.mask(group));
        }
    }
    map.keep(|group| allowed[group.index()]);
    map
}

fn crashes(outcome: &Outcome, text: &mut String) {
    if outcome.recoveries.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{BOLD}The facility's crashes{BOLD:#}");
    for recovery in &outcome.recoveries {
        let _ = writeln!(text, "{recovery}");
    }
    let while_down = outcome.while_down();
    if while_down > 0 {
        let count = grouped(while_down);
        let _ = writeln!(text, "  {count} connections were opened while it was dead, from groups in hand");
    }
}

fn verdict(outcome: &Outcome, text: &mut String) {
    let findings = &outcome.findings;
    let (style, word) = if findings.all() == 0 { (GOOD, "duplicates 0") } else { (BAD, "duplicates") };
    let count = if findings.all() == 0 { String::new() } else { format!(" {}", findings.duplicates()) };
    let _ = writeln!(
        text,
        "\n{BOLD}{} connections{BOLD:#} in {:.1} s, {} per second; {style}{word}{count}{style:#}",
        grouped(outcome.connections()),
        outcome.seconds,
        grouped(outcome.per_second() as u64)
    );
    let (holds, binds) = outcome.looked_at;
    let looked = format!("{} holds of a port and {} binds", grouped(holds), grouped(binds));
    if findings.all() == 0 {
        let _ = writeln!(
            text,
            "  a checker that shares no code with the allocator looked at {looked}: no port in two hands,\n  \
             none within the quarantine of another stack, no bind met a socket of ours"
        );
    }
    if findings.all() > 0 {
        let _ = writeln!(
            text,
            "  the checker looked at {looked} and found {} overlaps, {} early, {} that met our own socket, \
             {} unheld, {} given back in use, {} lost",
            findings.overlaps,
            findings.early,
            findings.own_in_use,
            findings.unheld,
            findings.released_in_use,
            findings.lost
        );
        for finding in &findings.texts {
            let _ = writeln!(text, "    {finding}");
        }
        let _ = writeln!(
            text,
            "  this is a bug in portplex: please report it with the data directory and seed {}",
            outcome.seed
        );
    }
    let foreign: u64 = outcome.stacks.iter().map(|(_, tally)| tally.foreign_met).sum();
    if foreign > 0 {
        let _ = writeln!(
            text,
            "  {foreign} binds met a socket of another program that came later; those ports were set aside"
        );
    }
    if let Some(cause) = outcome.stopped() {
        let _ =
            writeln!(text, "  granting was stopped at the end ({}): `portplex display` says what to do", cause.name());
    }
    if let Some(reason) = outcome.status.as_ref().and_then(|status| status.storage.as_ref()) {
        let _ = writeln!(text, "  the storage was full at the end ({reason}): make room");
    }
    for alarm in outcome.alarms() {
        let _ = writeln!(text, "  alarm: {alarm}");
    }
    if outcome.interrupted {
        let _ = writeln!(text, "  interrupted: this is what had happened until then");
    }
}

fn next(outcome: &Outcome, text: &mut String) {
    let data = outcome.settings.data.display();
    let _ = writeln!(text, "\n{BOLD}Try next{BOLD:#}");
    let mut line = |command: String, what: &str| {
        let _ = writeln!(text, "  {command:<52}  {DIM}# {what}{DIM:#}");
    };
    let again = if outcome.found { "and again" } else { "the stacks find these groups and take them up" };
    line("portplex dev".to_owned(), again);
    line("portplex dev --crashes 20 --for 30s".to_owned(), "a worse day");
    line(format!("portplex display groups --data {data}"), "who holds what");
    line(format!("portplex log dump {data}"), "who got which port, and when");
    line("portplex dev my1.profile my2.profile".to_owned(), "your own profiles");
}

fn foreign_ports(ports: &[u16]) -> String {
    let named: Vec<String> = ports.iter().take(PORTS_NAMED_MAX).map(ToString::to_string).collect();
    let more = ports.len().saturating_sub(PORTS_NAMED_MAX);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (word, verb) = if ports.len() == 1 { ("port", "is") } else { ("ports", "are") };
    format!("{word} {}{tail} {verb}", named.join(", "))
}

/// With commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ports_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 12_345, 1_234_567].map(grouped), ["0", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!(foreign_ports(&[22]), "port 22 is");
        assert_eq!(foreign_ports(&[22, 80]), "ports 22, 80 are");
        let many: Vec<u16> = (1..=20).collect();
        assert!(foreign_ports(&many).ends_with(", 12 and 8 more are"));
    }
}
