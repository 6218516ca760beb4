//! `serve --print-config`: every key with its value and what it is for, as a file that can be used.
#![forbid(unsafe_code)]

use super::ENVIRONMENT;
use super::keys;
use super::keys::Key;
use super::settings::Config;
use std::fmt::Write as _;

/// As TOML. Read again it gives the same configuration.
pub(crate) fn print(config: &Config) -> String {
    let mut text = format!(
        "# The configuration of `portplex serve`. Every key is here; those that are left out have the value\n\
         # that `portplex serve --print-config` shows.\n\
         #\n\
         # Times are \"500ms\", \"30s\", \"15m\", \"24h\", \"180d\"; sizes \"64KiB\", \"16MiB\", \"8GiB\". An empty text is\n\
         # nothing. A variable of the environment comes before the file: {ENVIRONMENT}LOG_LEVEL is level in\n\
         # [log]; a flag comes before both: --set log.level=debug. SIGHUP reads the file again; what a running\n\
         # service takes over is marked (reload), all else counts from the next start on.\n\n"
    );
    let mut section = "";
    for key in keys::SERVICE {
        head(&mut text, &mut section, key.section);
        line(&mut text, key, config);
    }
    for key in keys::STRUCTURE {
        head(&mut text, &mut section, key.section);
        line(&mut text, key, &config.common);
    }
    for structure in &config.structures {
        text.push_str(
            "\n# One table for each structure (subplex) that is served. Each may also have the keys of [store], and\n\
             # those of [policy] as policy_quota and so on, for itself alone.\n[[structure]]\n",
        );
        keys::PLACE.iter().for_each(|key| line(&mut text, key, structure));
        let own = keys::STRUCTURE.iter().filter(|key| (key.show)(structure) != (key.show)(&config.common));
        for key in own {
            let prefix = if key.section == "policy" { "policy_" } else { "" };
            let _ = writeln!(text, "{prefix}{} = {}", key.name, (key.show)(structure));
        }
    }
    text
}

fn head(text: &mut String, last: &mut &'static str, section: &'static str) {
    if *last == section {
        return;
    }
    *last = section;
    let about = match section {
        "tls" => "# For doors beyond this machine. The files are read anew by a reload.\n",
        "access" => "# Who may come in where there are no certificates.\n",
        "limits" => "# How much the service takes on; beyond it a caller is told so at once.\n",
        "store" => "# What holds for every structure that does not say otherwise.\n",
        "policy" => "# The policy that a new list begins with; `portplex dvipa policy` changes that of any.\n",
        _ => "",
    };
    let _ = write!(text, "\n{about}[{section}]\n");
}

fn line<T>(text: &mut String, key: &Key<T>, of: &T) {
    let reload = if key.reload { " (reload)" } else { "" };
    let _ = writeln!(text, "# {}{reload}", key.about.replace('\n', "\n# "));
    let _ = writeln!(text, "{} = {}", key.name, (key.show)(of));
}
