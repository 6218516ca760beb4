//! Configurations: what is printed is what is meant, and what is not understood says where.
#![forbid(unsafe_code)]

use super::*;
use std::time::Duration;

fn of_file(text: &str) -> Result<Config, String> {
    assemble(Some(("f.toml", text)), &BTreeMap::new(), &[])
}

#[test]
fn the_printed_configuration_is_read_as_the_defaults_and_is_the_packaged_file() {
    let printed = print(&Config::default());
    assert_eq!(of_file(&printed), Ok(Config::default()), "{printed}");
    for key in keys::all() {
        let name = key.rsplit('.').next().expect("one part at least");
        assert!(printed.contains(&format!("\n{name} = ")), "{key} is not printed");
    }
    assert!(include_str!("../../../packaging/portplex.toml") == printed, "write it: portplex serve --print-config");
    assert!(printed.lines().all(|line| line.len() <= 120), "{printed}");
}

#[test]
fn what_is_set_is_printed_and_read_as_the_same() {
    let text = "listen = [\"unix:/run/p\"]\nlease = \"0s\"\n[store]\nquarantine = \"3s\"\n[policy]\nquota = 640\n\
                [[structure]]\ndata = \"/a\"\nname = \"EZBEPORT1121\"\noptional = true\npolicy_reserve = 3\n\
                [[structure]]\ndata = \"/b\"\nquarantine = \"9s\"\n";
    let config = of_file(text).expect("understood");
    assert_eq!(config.structures.len(), 2);
    let [a, b] = &config.structures[..] else { unreachable!() };
    assert_eq!((a.quarantine, b.quarantine), (Duration::from_secs(3), Duration::from_secs(9)));
    assert_eq!((a.policy().quota, a.policy().reserve, b.policy().reserve), (640, 3, 0));
    assert_eq!(of_file(&print(&config)), Ok(config));
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() {
    let file = Some(("f.toml", "[log]\nlevel = \"warn\"\nformat = \"json\"\n[limits]\nwatchers_max = 1\n"));
    let environment =
        [("PORTPLEX_SERVE_LOG_LEVEL", "debug"), ("PORTPLEX_SERVE_LIMITS_WATCHERS_MAX", "2"), ("HOME", "/")];
    let environment = environment.map(|(name, word)| (name.to_owned(), word.to_owned())).into();
    let flags = [Said::by_set("limits.watchers_max = 3").expect("a key")];
    let config = assemble(file, &environment, &flags).expect("understood");
    assert_eq!((config.log_format, config.log_level, config.limits.watchers_max), (Format::Json, Level::Debug, 3));
}

#[test]
fn every_key_has_a_variable_of_its_own() {
    let variables: Vec<String> = keys::all().map(|key| variable(&key)).collect();
    let mut unique = variables.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), variables.len());
}

#[test]
fn a_mistake_is_told_with_file_line_key_and_the_nearest_name() {
    for (text, told) in [
        (
            "\n[limits]\n# one\nconections_max = 5\n",
            "f.toml:4: limits.conections_max is no key; did you mean limits.connections_max?",
        ),
        ("[limitz]\nstreams_max = 5\n", "f.toml:2: limitz.streams_max is no key; did you mean limits.streams_max?"),
        ("lisen = []\n", "f.toml:1: lisen is no key; did you mean listen?"),
        ("[store]\nquarantine = 5\n", "f.toml:2: store.quarantine: a time such as"),
        ("[log]\nlevel = \"loud\"\n", "f.toml:2: log.level: \"loud\" is none of off, error, warn, info, debug, trace"),
        ("init = \"yes\"\n", "f.toml:1: init: true or false is meant here, not a text"),
        ("[structure]\ndata = \"/a\"\n", "f.toml:1: a structure is a table of its own: write [[structure]]"),
        ("[[structure]]\ndatta = \"/a\"\n", "f.toml:2: datta is no key of a structure; did you mean data?"),
        ("[[structure]]\nname = \"NIXDA\"\n", "f.toml:2: name: "),
        (
            "[[structure]]\ndata = \"/a\"\n[[structure]]\ndata = \"/a\"\n",
            "/a: two structures are to be in one directory",
        ),
        ("listen = []\n", "listen is empty"),
        ("[store]\nsegment_size = \"5KiB\"\n", "segment_size: a segment has 16 KiB to 1 GiB"),
        ("[store]\nhistory_log = \"1KiB\"\n", "history_log is 1MiB and more"),
        ("[store]\nquarantine = \"2d\"\n", "quarantine is 1s to 24h"),
        ("[policy]\nquarantine = \"1ms\"\n", "a policy has a quarantine of 0s or 1s to 24h"),
        ("[limits]\nstreams_max = 0\n", "limits.streams_max is 0"),
        ("listen = [\"https://10.0.0.1:7678\"]\n", "needs certificates"),
        ("[tls]\nkey = \"k\"\n", "belong together"),
        ("[access]\nuids = [\"alice\"]\n", "access.uids: "),
        ("a = \n", "f.toml:1: "),
        ("[log]\nlevel = { deep = 1 }\n", "f.toml:2: log.level: a table is not meant here"),
    ] {
        let error = of_file(text).expect_err(text);
        assert!(error.contains(told), "{text}\n{error}");
    }
    let environment = BTreeMap::from([("PORTPLEX_SERVE_LOG_LEVELS".to_owned(), "debug".to_owned())]);
    let error = assemble(None, &environment, &[]).expect_err("no variable");
    assert!(error.contains("did you mean PORTPLEX_SERVE_LOG_LEVEL"), "{error}");
}
