//! `portplex profile check`: diagnostics, then advice.
#![forbid(unsafe_code)]

use super::input;
use super::input::Text;
use super::snippet;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::size::counted;
use crate::profile;
use crate::profile::Advice;
use crate::profile::Asked;
use crate::profile::Profile;
use crate::profile::RseEnv;
use crate::profile::Severity;
use crate::profile::Subject;
use annotate_snippets::Renderer;
use serde::Serialize;
use std::io::IsTerminal as _;
use std::path::Path;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
Examples:
  portplex profile check tcpip.profile
  portplex profile check sys1.profile sys2.profile sys3.profile --clients-encrypted no
  portplex profile check sys1.profile --obey delete.obey define.obey
  portplex profile check sys*.profile --rse-env sys1.env sys2.env sys3.env
  portplex profile check sys1.profile --json | jq '.diagnostics[] | select(.severity == \"error\")'

Give all profiles of a sysplex to have them compared with each other. A file's system is its name
up to the first dot: sys1.tcpa.profile and sys1.tcpb.profile are two stacks of one system.

--obey applies data sets, in order, as VARY TCPIP,,OBEYFILE does to the stack that runs with the
profile; it needs exactly one FILE, since a data set is obeyed by one stack. Advice is on the
profile that results.

1 is the exit code if there is an error among diagnostics or advice.";

#[derive(Clone, Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Profiles, one per stack
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Data sets to obey after the profile, in order; only with a single FILE
    #[arg(long, value_name = "FILE", num_args = 1..)]
    obey: Vec<PathBuf>,
    /// VTAM group id (start option XCFGRPID), 2 to 31: the vv of the structure's name
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u8).range(2..=31))]
    vtam_group: Option<u8>,
    /// rse.env files of the RSE daemons, one per system
    #[arg(long, value_name = "FILE", num_args = 1..)]
    rse_env: Vec<PathBuf>,
    /// Port of the RSE daemon [default: that of rse.env, else 4035]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    daemon_port: Option<u16>,
    /// Whether the daemon's clients encrypt; those that do not connect twice each time
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    clients_encrypted: Option<bool>,
    /// Further ports whose listener hands the work to another address space, as the RSE daemon does
    #[arg(long, value_name = "PORT", num_args = 1.., value_parser = clap::value_parser!(u16).range(1..))]
    worker_elsewhere: Vec<u16>,
    /// One JSON object on one line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    diagnostics: Vec<ShownDiagnostic<'a>>,
    advice: Vec<ShownAdvice<'a>>,
}

#[derive(Serialize)]
struct ShownDiagnostic<'a> {
    profile: &'a str,
    line: u32,
    column: u32,
    severity: &'static str,
    code: &'static str,
    message: String,
    hint: &'a str,
}

#[derive(Serialize)]
struct ShownAdvice<'a> {
    rule: &'static str,
    severity: &'static str,
    profiles: &'a [String],
    why: &'a str,
    source: &'static str,
}

/// One stack: its files, and what they come to.
struct Stack {
    name: String,
    system: String,
    profile: Profile,
    texts: Vec<Text>,
}

pub(super) fn run(args: &CheckArgs) -> Result<Exit, Failure> {
    if !args.obey.is_empty() && args.files.len() != 1 {
        let message = format!(
            "--obey needs exactly one FILE, {} were given: a data set is obeyed by one stack; check each profile with \
             its own data sets",
            args.files.len()
        );
        return Err(Failure::told(Exit::Usage, message));
    }
    let mut stacks = Vec::new();
    for file in &args.files {
        let (profile, texts) = input::read(file, &args.obey)?;
        let (name, system) = (file.display().to_string(), system_of(file, &args.files));
        stacks.push(Stack { name, system, profile, texts });
    }
    let mut environments = Vec::new();
    for file in &args.rse_env {
        environments.push(RseEnv::parse(&file.display().to_string(), &input::bytes_of(file)?));
    }
    let subjects: Vec<Subject<'_>> =
        stacks.iter().map(|Stack { name, system, profile, .. }| Subject { name, system, profile }).collect();
    let asked = Asked {
        daemon_port: args.daemon_port,
        clients_encrypted: args.clients_encrypted,
        worker_elsewhere: args.worker_elsewhere.clone(),
    };
    let advice = profile::advise(&subjects, &environments, &asked);
    if args.json {
        output::print_json(&json(&stacks, &advice))?;
    } else {
        output::print(&text(&stacks, &advice, args.vtam_group, std::io::stdout().is_terminal())?)?;
    }
    let bad_advice = advice.iter().any(|advice| advice.severity == Severity::Error);
    let bad = bad_advice || stacks.iter().any(|stack| input::has_errors(&stack.texts));
    Ok(if bad { Exit::Refused } else { Exit::Done })
}

fn json<'a>(stacks: &'a [Stack], advice: &'a [Advice]) -> Shown<'a> {
    let texts = stacks.iter().flat_map(|stack| &stack.texts);
    let diagnostics = texts.flat_map(|text| {
        text.diagnostics.iter().map(|found| ShownDiagnostic {
            profile: &text.name,
            line: found.line,
            column: found.column,
            // Two severities are promised; a note is the lesser one.
            severity: found.severity.max(Severity::Warning).name(),
            code: found.code.name(),
            message: found.text(),
            hint: &found.hint,
        })
    });
    let advice = advice.iter().map(|advice| ShownAdvice {
        rule: advice.rule.name(),
        severity: advice.severity.name(),
        profiles: &advice.profiles,
        why: &advice.why,
        source: advice.source,
    });
    Shown { diagnostics: diagnostics.collect(), advice: advice.collect() }
}

fn text(stacks: &[Stack], advice: &[Advice], vtam_group: Option<u8>, rich: bool) -> Result<String, Failure> {
    let renderer = Renderer::styled();
    let mut shown = String::new();
    for text in stacks.iter().flat_map(|stack| &stack.texts) {
        if rich {
            shown.push_str(&snippet::render(text, &renderer));
            continue;
        }
        for found in &text.diagnostics {
            shown.push_str(&snippet::line(&text.name, found));
            shown.push('\n');
        }
    }
    for advice in advice {
        if rich {
            shown.push_str(&snippet::render_advice(advice, &renderer));
        } else {
            shown.push_str(&snippet::advice_line(advice));
            shown.push('\n');
        }
    }
    let found = || stacks.iter().flat_map(|stack| &stack.texts).flat_map(|text| &text.diagnostics);
    let count = |severity| found().filter(|found| found.severity == severity).count();
    let structures: Result<Vec<String>, Failure> = stacks
        .iter()
        .map(|stack| input::structure_of(&stack.profile, vtam_group).map(|name| name.to_string()))
        .collect();
    let mut structures = structures?;
    structures.sort_unstable();
    structures.dedup();
    shown.push_str(&format!(
        "{}, {}: {}, {}, {}",
        counted(stacks.len() as u64, "profile"),
        structures.join(" and "),
        counted(count(Severity::Error) as u64, "error"),
        counted(count(Severity::Warning) as u64, "warning"),
        match advice.len() {
            0 => "no advice".to_owned(),
            1 => "1 piece of advice".to_owned(),
            count => format!("{count} pieces of advice"),
        }
    ));
    Ok(shown)
}

/// The system that a profile's stack runs on: its file's name up to the first dot, or the whole path
/// where another file has the same name.
fn system_of(file: &Path, all: &[PathBuf]) -> String {
    let same = all.iter().filter(|other| other.file_name() == file.file_name()).count();
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match name.split('.').next() {
        Some(system) if same == 1 && !system.is_empty() => system.to_ascii_uppercase(),
        _ => file.display().to_string(),
    }
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("answer yes or no".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(name: &str, text: &str) -> Stack {
        let (profile, diagnostics) = profile::parse(text.as_bytes());
        let texts = vec![Text { name: name.to_owned(), bytes: text.as_bytes().to_vec(), diagnostics }];
        Stack { name: name.to_owned(), system: name.to_owned(), profile, texts }
    }

    #[test]
    fn a_terminal_sees_the_line_and_a_marker_and_a_pipe_one_line_each() {
        let stacks = [stack("a.profile", "; é\r\nPORT\r\n  4035 TPC RSED\r\nTCPCONFIG EPHEMERALPORTS 1 2 ; low")];
        let rich = text(&stacks, &[], Some(11), true).expect("text");
        let plain = anstream::adapter::strip_str(&rich).to_string();
        assert!(plain.contains("--> a.profile:3:8"), "{plain}");
        assert!(plain.contains("3 |   4035 TPC RSED"), "{plain}");
        assert!(plain.lines().any(|line| line.trim_end().ends_with("^^^") && line.contains('|')), "{plain}");
        assert!(plain.contains("error[bad-value]: TPC is not TCP or UDP"), "{plain}");
        assert!(plain.ends_with("1 profile, EZBEPORT11: 2 errors, 0 warnings, no advice"), "{plain}");

        let piped = text(&stacks, &[], None, false).expect("text");
        let lines: Vec<&str> = piped.lines().collect();
        assert_eq!(lines.len(), 4, "{piped}");
        assert_eq!(lines[1], "a.profile:3:8: error: TPC is not TCP or UDP [bad-value]");
        assert!(!piped.contains('\u{1b}'));
    }

    #[test]
    fn every_place_that_the_parser_names_can_be_shown() {
        let odd =
            ["", "\u{feff}PORT\r\r\n1", "PORT 1 TCP", "\u{85}é é;", "PORT\n\u{fffd}\0\n", "VIPADYNAMIC VIPADEFINE"];
        for source in odd.into_iter().chain([&*format!("{}PORT x", " ".repeat(500))]) {
            let found = [stack("p", source)];
            let _ = text(&found, &[], None, true).expect("text");
        }
    }

    #[test]
    fn a_system_is_the_start_of_a_files_name() {
        let files = ["a/sys1.tcpa.profile", "sys1.tcpb", "b/tcpip", "c/tcpip"].map(PathBuf::from);
        let systems = files.each_ref().map(|file| system_of(file, &files));
        assert_eq!(systems, ["SYS1", "SYS1", "b/tcpip", "c/tcpip"]);
    }
}
