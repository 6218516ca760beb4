//! What was typed: the tree of verbs, and help that is complete at every one of them.
#![forbid(unsafe_code)]

#[cfg(feature = "service")]
use super::cert::CertArgs;
use super::connector::ConnectorArgs;
#[cfg(feature = "service")]
use super::dev::DevArgs;
use super::display::DisplayArgs;
use super::dvipa::DvipaArgs;
use super::exit;
use super::explain::ExplainArgs;
use super::log::LogArgs;
use super::profile::ProfileArgs;
use super::serve::ServeArgs;
#[cfg(feature = "service")]
use super::stack::StackArgs;
use super::store::StoreArgs;
use super::who::WhoArgs;
use crate::ident::StructureName;
use crate::ident::Transport;
use clap::CommandFactory;

/// Crash-safe assignment of source ports to hosts that share one virtual IP address.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "portplex", version, subcommand_required = true, arg_required_else_help = true)]
#[command(after_long_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Typed {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The verbs.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// A whole sysplex on this machine, under real connections and real crashes: start here
    #[cfg(feature = "service")]
    Dev(DevArgs),
    /// Serve stores to stacks, operators and programs, over gRPC
    #[command(after_long_help = super::serve::EXAMPLES)]
    Serve(ServeArgs),
    /// Run a stack on this machine, and take ports from it
    #[cfg(feature = "service")]
    Stack(StackArgs),
    /// Make a small private CA and certificates for services, stacks, operators and readers
    #[cfg(feature = "service")]
    Cert(CertArgs),
    /// Show who holds what, in the terms of z/OS Communications Server
    Display(DisplayArgs),
    /// Say why: who has a port, why a stack gets none, what a DVIPA lacks, and what would change it
    #[command(after_long_help = super::explain::EXAMPLES)]
    Explain(ExplainArgs),
    /// Say who held a port at a time, from the log: exact to the grant and the release
    #[command(after_long_help = super::who::EXAMPLES)]
    Who(WhoArgs),
    /// Make, check, print, back up and restore a store, and say what happened to one
    Store(StoreArgs),
    /// Look at the connectors of a store, and vouch for stacks that are gone
    Connector(ConnectorArgs),
    /// Look at the lists of DVIPAs, make them, close them, drain them, set their policies
    Dvipa(DvipaArgs),
    /// Print and check the log of a store, record by record, and follow a running service
    Log(LogArgs),
    /// Check TCP/IP profiles and show what a stack makes of them
    Profile(ProfileArgs),
}

const EXAMPLES: &str = "\
Examples:
  portplex dev                               # ten seconds, no arguments, nothing to set up
  portplex display groups                    # who holds what in ./portplex-data
  portplex explain 10.1.1.1:5000             # who has this port since when, and what would free it
  portplex who 10.1.1.1:5000 --at '2026-11-22 14:05'   # who held it then
  portplex serve --init --data /srv/ports    # a service on this machine
  portplex store init /srv/ports             # an empty structure EZBEPORT
  portplex store verify /srv/ports           # read every byte, change none
  portplex log dump /srv/ports | less        # who got which port, and when
  portplex profile check sys*.profile        # what is wrong, and what will go wrong";

/// The command tree, with the exit codes at the end of every verb's `--help`.
pub(crate) fn command() -> clap::Command {
    with_exit_codes(Typed::command())
}

fn with_exit_codes(command: clap::Command) -> clap::Command {
    let name = command.get_name().to_owned();
    let own = command.get_after_long_help().map(|text| format!("{text}\n\n")).unwrap_or_default();
    let command = command.after_long_help(format!("{own}{}", exit::help().trim_end()));
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    debug_assert!(!verbs.contains(&name), "a verb within itself");
    verbs.into_iter().fold(command, |command, verb| command.mut_subcommand(verb, with_exit_codes))
}

/// Which structure: by its name or by the group ids that make it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct StructureArgs {
    /// The structure's name: EZBEPORT, EZBEPORTvv, EZBEPORT01tt or EZBEPORTvvtt
    #[arg(long, value_name = "NAME", conflicts_with_all = ["vtam_group", "tcp_group"])]
    structure: Option<StructureName>,
    /// VTAM group id (start option XCFGRPID), 2 to 31: the vv of the structure's name
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u8).range(2..=31))]
    vtam_group: Option<u8>,
    /// TCP group id (GLOBALCONFIG XCFGRPID), 2 to 31: the tt of the structure's name
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u8).range(2..=31))]
    tcp_group: Option<u8>,
}

impl StructureArgs {
    /// The structure that was named, if one was.
    pub(crate) fn name(&self) -> Option<StructureName> {
        match (self.structure, self.vtam_group, self.tcp_group) {
            (None, None, None) => None,
            (Some(name), ..) => Some(name),
            (None, vtam, tcp) => Some(StructureName::new(vtam, tcp).expect("the parser keeps ids within 2 to 31")),
        }
    }
}

/// `tcp` or `udp`.
pub(crate) fn parse_transport(text: &str) -> Result<Transport, String> {
    text.parse().map_err(|()| "a transport is tcp or udp".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(command: &clap::Command, path: &str, see: &mut impl FnMut(&str, &clap::Command)) {
        see(path, command);
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            each(verb, &format!("{path} {}", verb.get_name()), see);
        }
    }

    #[test]
    fn the_help_of_every_verb_is_complete() {
        command().debug_assert();
        each(&command(), "portplex", &mut |path, verb| {
            if verb.is_hide_set() {
                return;
            }
            let help = verb.clone().render_long_help().to_string();
            assert!(verb.get_about().is_some(), "{path} says nothing about itself");
            assert!(help.contains("Exit codes:\n   0  done"), "{path}: {help}");
            if verb.get_subcommands().next().is_none() {
                assert!(help.contains("Example"), "{path} has no example");
                let json = verb.get_arguments().any(|argument| argument.get_id() == "json");
                assert!(json, "{path} has no --json");
            }
            for argument in verb.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{path} {} has no help", argument.get_id());
            }
        });
    }

    #[test]
    fn a_structure_is_named_whole_or_by_its_group_ids() {
        #[derive(clap::Parser)]
        struct Probe {
            #[command(flatten)]
            structure: StructureArgs,
        }
        let name = |arguments: &[&str]| {
            let typed = std::iter::once("probe").chain(arguments.iter().copied());
            <Probe as clap::Parser>::try_parse_from(typed)
                .map(|probe| probe.structure.name().map(|name| name.to_string()))
        };
        assert_eq!(name(&[]).expect("valid"), None);
        assert_eq!(name(&["--structure", "EZBEPORT0131"]).expect("valid").as_deref(), Some("EZBEPORT0131"));
        assert_eq!(name(&["--vtam-group", "11", "--tcp-group", "21"]).expect("valid").as_deref(), Some("EZBEPORT1121"));
        assert_eq!(name(&["--tcp-group", "7"]).expect("valid").as_deref(), Some("EZBEPORT0107"));
        assert!(name(&["--vtam-group", "1"]).is_err());
        assert!(name(&["--structure", "EZBEPORT", "--vtam-group", "2"]).is_err());
    }
}
