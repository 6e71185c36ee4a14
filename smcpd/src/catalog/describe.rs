//! Finds out what one plugin offers: its contract (a file, or what `--describe` says), its parser, or its help
//! text, in this order.
//!
//! A directory of ours with one `sitecustomize.py` goes first on `PYTHONPATH`, so that a Python plugin's own
//! parser writes down what it knows at its first parse. Nothing else of the plugin runs then.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::confinement::Confinement;
use super::environment::Environment;
use super::model::{Command, Description, Source};
use super::nursery::Nursery;
use super::output::json_of;
use super::parser_tree::{Kind, Parser};
use super::scan::Located;
use super::{contract, contract_file, facts, help_text, unseen};
use crate::executor::{End, Executor, Invocation, OutputLimit};

const PROBE: &str = include_str!("probe/sitecustomize.py");
/// What a plugin may say when it is asked; a contract of fifty commands is some 40 KiB.
const OUTPUT: OutputLimit = OutputLimit { keep: 4 << 20, ceiling: 4 << 20 };
/// Help texts that are asked for, in all and down.
const MOST_HELPS: usize = 100;
const DEEPEST_HELP: usize = 3;

/// Asks plugins what they offer.
#[derive(Debug)]
pub(super) struct Describer {
    executor: Executor,
    probe: PathBuf,
    scratch: PathBuf,
    timeout: Mutex<Duration>,
    next: AtomicU64,
    nursery: Mutex<Option<Arc<Nursery>>>,
    cancel: CancellationToken,
}

/// What the probe wrote.
#[derive(Debug, Deserialize)]
struct Report {
    /// The plugin's real parse may have come later, or never.
    #[serde(default)]
    provisional: bool,
    #[serde(default)]
    parser: Parser,
    /// Only of a rehearsal.
    #[serde(default)]
    rehearsed: Option<Vec<Rehearsed>>,
}

/// What the plugin's parser made of one command line.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Rehearsed {
    /// Each action that took words, in their order.
    pub(super) calls: Vec<Taken>,
    /// Words that nothing took.
    pub(super) extras: Vec<String>,
    /// What the namespace held at the end; what is no JSON is `{"text": …}`.
    pub(super) values: Map<String, Value>,
    /// Why the parser refused the line.
    pub(super) error: Option<String>,
}

/// One use of an option or positional.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Taken {
    pub(super) flags: Vec<String>,
    pub(super) dest: String,
    pub(super) words: Vec<String>,
}

/// What the probe is to do while a plugin runs.
#[derive(Clone, Copy)]
enum Probing<'a> {
    Nothing,
    Tree,
    Rehearsal(&'a [Vec<String>]),
}

/// What a plugin said when asked.
struct Said {
    end: End,
    stdout: String,
    stderr: String,
    report: Option<Report>,
}

impl Describer {
    /// Lays out the probe below `cache`.
    pub(super) fn new(
        executor: Executor,
        cache: &Path,
        timeout: Duration,
        cancel: CancellationToken,
    ) -> std::io::Result<Self> {
        let describer = Self {
            executor,
            probe: cache.join("probe"),
            // Two daemons of one user may share a cache.
            scratch: cache.join("scratch").join(std::process::id().to_string()),
            timeout: Mutex::new(timeout),
            next: AtomicU64::new(0),
            nursery: Mutex::default(),
            cancel,
        };
        fs::create_dir_all(&describer.probe)?;
        let (script, together) = Nursery::lay_out(&describer.probe, PROBE);
        script.parent().map_or(Ok(()), fs::create_dir_all)?;
        for (path, text) in [(describer.probe.join("sitecustomize.py"), PROBE), (script, &together)] {
            // What Python compiled of it stays good.
            if fs::read(&path).is_ok_and(|known| known == text.as_bytes()) {
                continue;
            }
            // Whole or not at all: another daemon may be probing with it now.
            let new = describer.probe.join(format!(".{}.new", std::process::id()));
            fs::write(&new, text)?;
            fs::rename(new, path)?;
        }
        Ok(describer)
    }

    /// Holds for whoever is asked from now on.
    pub(super) fn set_timeout(&self, timeout: Duration) {
        *self.timeout.lock().unwrap_or_else(PoisonError::into_inner) = timeout;
    }

    fn timeout(&self) -> Duration {
        *self.timeout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Expects to be asked for many plugins that run with `python` and find `environment`.
    pub(super) fn gather(&self, python: &Path, environment: Environment, confinement: &Confinement) {
        let mut nursery = self.nursery.lock().unwrap_or_else(PoisonError::into_inner);
        nursery.get_or_insert_with(|| {
            let whole = self.environment(environment.clone(), None);
            // What is granted has to be there when the sandbox is put on. Where it cannot be made, each plugin says why.
            let _made = fs::create_dir_all(&self.scratch);
            let sandbox = confinement.while_asked(&self.probe, &self.scratch);
            Arc::new(Nursery::new(self.executor.clone(), &self.probe, python, (environment, whole), sandbox))
        });
    }

    /// All of them have been asked.
    pub(super) fn disperse(&self) {
        *self.nursery.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Asks for the contract where many are asked; nothing where only an interpreter of the plugin's own can tell.
    async fn ask_together(&self, plugin: &Located, environment: &Environment) -> Option<Said> {
        let nursery = self.nursery.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        if !nursery.takes(plugin, environment) || !nursery.is_up().await {
            return None;
        }
        let said =
            self.run(plugin, environment, &["--describe"], Probing::Tree, Some(&nursery)).await.ok()?;
        let is_clear = said.end == End::Exited(0)
            && said.parser().is_some()
            && said.contract().is_none_or(|found| found.is_ok());
        is_clear.then_some(said)
    }

    /// Asks one plugin; the error is the reason to show.
    pub(super) async fn describe(
        &self,
        plugin: &Located,
        environment: &Environment,
    ) -> Result<Description, String> {
        self.found_out(plugin, environment).await.map(unseen::take_out)
    }

    async fn found_out(&self, plugin: &Located, environment: &Environment) -> Result<Description, String> {
        let from_file = contract_file::read(&plugin.directory)?;
        let mut said = match self.ask_together(plugin, environment).await {
            Some(said) => said,
            None => self.ask(plugin, environment, &["--describe"], true).await?,
        };
        if from_file.is_some() && said.crashed() {
            return Err(said.reason());
        }
        if let Some(found) = from_file.map(Ok).or_else(|| said.contract()) {
            let mut description = found?;
            // The contract says all that is needed. A parser only adds to it: a program that can have none is not
            // asked, and whatever becomes of the asking, the contract stands.
            if said.parser().is_none()
                && plugin.may_have_parser()
                && let Ok(helped) = self.ask(plugin, environment, &["--help"], true).await
            {
                said = helped;
            }
            if let Some(parser) = said.parser() {
                facts::enrich(&mut description, parser);
                description.parser_seen = true;
            }
            return Ok(description);
        }
        if said.crashed() {
            return Err(said.reason());
        }
        if said.parser().is_none() {
            said = self.ask(plugin, environment, &["--help"], true).await?;
        }
        if let Some(report) = &said.report {
            let commands = facts::commands(&report.parser);
            if !commands.is_empty() {
                let found = from_parser(&report.parser, Source::Parser, commands);
                return Ok(Description { parser_seen: true, ..found });
            }
            let told = [&report.parser.epilog, &report.parser.description];
            let text = told.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("\n\n");
            return named(&help_text::parse(&text)).ok_or_else(|| "its parser has no subcommands".to_owned());
        }
        self.read_helps(plugin, environment, &said).await
    }

    /// Lets the plugin's own parser read command lines, without the plugin seeing any of them; `None` where no
    /// parser is seen.
    ///
    /// The plugin is started as for a description, and ends at its first parse: no line ever reaches its code.
    pub(super) async fn rehearse(
        &self,
        plugin: &Located,
        environment: &Environment,
        lines: &[Vec<String>],
    ) -> Result<Option<Vec<Rehearsed>>, String> {
        for words in [&["--describe"], &["--help"]] {
            let said = self.run(plugin, environment, words, Probing::Rehearsal(lines), None).await?;
            if let Some(rehearsed) = said.report.and_then(|report| report.rehearsed) {
                return Ok(Some(rehearsed));
            }
        }
        Ok(None)
    }

    /// Reads help texts: the plugin's own, then each subcommand's.
    async fn read_helps(
        &self,
        plugin: &Located,
        environment: &Environment,
        said: &Said,
    ) -> Result<Description, String> {
        let mut help = help_text::parse(said.text());
        let mut budget = MOST_HELPS;
        self.ask_below(plugin, environment, &mut Vec::new(), &mut help.parser, &mut budget).await;
        let commands = facts::commands(&help.parser);
        if !commands.is_empty() {
            return Ok(from_parser(&help.parser, Source::HelpText, commands));
        }
        named(&help).ok_or_else(|| said.reason())
    }

    /// Fills in the parsers of subcommands, depth first.
    async fn ask_below(
        &self,
        plugin: &Located,
        environment: &Environment,
        path: &mut Vec<String>,
        parser: &mut Parser,
        budget: &mut usize,
    ) {
        for action in parser.actions.iter_mut().filter(|action| action.kind == Kind::Subcommands) {
            for subcommand in &mut action.commands {
                if *budget == 0 || path.len() >= DEEPEST_HELP {
                    return;
                }
                *budget -= 1;
                path.push(subcommand.name.clone());
                let mut words: Vec<&str> = path.iter().map(String::as_str).collect();
                words.push("--help");
                if let Ok(said) = self.ask(plugin, environment, &words, false).await {
                    let below = help_text::parse(said.text());
                    if below.usage_seen {
                        subcommand.parser = below.parser;
                        Box::pin(self.ask_below(plugin, environment, path, &mut subcommand.parser, budget))
                            .await;
                    }
                }
                path.pop();
            }
        }
    }

    /// Runs the plugin once with `words`, in a scratch directory of its own.
    async fn ask(
        &self,
        plugin: &Located,
        environment: &Environment,
        words: &[&str],
        probed: bool,
    ) -> Result<Said, String> {
        let probing = if probed { Probing::Tree } else { Probing::Nothing };
        self.run(plugin, environment, words, probing, None).await
    }

    async fn run(
        &self,
        plugin: &Located,
        environment: &Environment,
        words: &[&str],
        probing: Probing<'_>,
        nursery: Option<&Nursery>,
    ) -> Result<Said, String> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let scratch = self.scratch.join(number.to_string());
        let unusable = |error: std::io::Error| format!("cannot use `{}`: {error}", scratch.display());
        fs::create_dir_all(&scratch).map_err(unusable)?;
        let report = scratch.join("report.json");
        let directory = scratch.join("directory");
        fs::create_dir(&directory).map_err(unusable)?;
        let mut environment = environment.clone();
        if let Probing::Rehearsal(lines) = probing {
            let path = scratch.join("lines.json");
            let text = serde_json::to_vec(lines).expect("words are strings");
            fs::write(&path, text).map_err(unusable)?;
            environment.set("SMCP_PROBE_LINES", path);
        }
        let probed = nursery.is_none() && !matches!(probing, Probing::Nothing);
        let argv = match nursery {
            Some(nursery) => nursery.argv(&report, &directory, plugin, words),
            None => plugin.prefix.iter().cloned().chain(words.iter().map(OsString::from)).collect(),
        };
        let invocation = Invocation {
            call: format!("describe-{}-{number}", std::process::id()),
            program: plugin.program.clone(),
            argv,
            environment: self.environment(environment, probed.then_some(&report)).into_pairs(),
            directory,
            stdin: None,
            timeout: Some(self.timeout()),
            output: OUTPUT,
            spill: None,
            warm: nursery.map(Nursery::warm),
            sandbox: plugin.confinement.while_asked(&self.probe, &scratch),
        };
        let outcome = self.executor.probe(invocation, &self.cancel).await;
        let report = fs::read(&report).ok().and_then(|text| serde_json::from_slice(&text).ok());
        // What a plugin left there is of no use to anyone.
        let _left = fs::remove_dir_all(&scratch);
        let outcome = outcome.map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })?;
        let asked = words.join(" ");
        match outcome.end {
            End::TimedOut => {
                Err(format!("did not answer `{asked}` within {} s", self.timeout().as_secs_f64()))
            }
            End::Flooded => Err(format!("wrote more than {} MiB when asked `{asked}`", OUTPUT.ceiling >> 20)),
            End::Cancelled => Err("the daemon is stopping".to_owned()),
            end => Ok(Said {
                end,
                stdout: outcome.stdout.into_text(),
                stderr: outcome.stderr.into_text(),
                report,
            }),
        }
    }

    /// Adds the probe, and what keeps help texts plain and unwrapped.
    fn environment(&self, mut environment: Environment, report: Option<&PathBuf>) -> Environment {
        for (name, value) in
            [("COLUMNS", "4000"), ("NO_COLOR", "1"), ("PYTHON_COLORS", "0"), ("TERM", "dumb")]
        {
            environment.set(name, value);
        }
        environment.remove("FORCE_COLOR");
        if let Some(report) = report {
            let mut path = self.probe.clone().into_os_string();
            if let Some(theirs) = environment.get("PYTHONPATH").cloned() {
                // A colon with nothing behind it would mean the working directory.
                if !theirs.is_empty() {
                    path.push(":");
                    path.push(&theirs);
                }
                environment.set("SMCP_PROBE_PYTHONPATH", theirs);
            }
            environment.set("PYTHONPATH", path);
            environment.set("SMCP_PROBE_OUT", report);
            environment.set("SMCP_PROBE_DIR", &self.probe);
        }
        environment
    }
}

impl Drop for Describer {
    fn drop(&mut self) {
        let _left = fs::remove_dir_all(&self.scratch);
    }
}

fn from_parser(parser: &Parser, source: Source, commands: Vec<Command>) -> Description {
    Description { source, description: parser.description.clone(), commands, ..Description::default() }
}

/// Commands of which only the names are known.
fn named(help: &help_text::Help) -> Option<Description> {
    let command = |(name, description): &(String, Option<String>)| Command {
        name: name.clone(),
        path: vec![name.clone()],
        description: description.clone(),
        open: true,
        ..Command::default()
    };
    let commands: Vec<Command> = help.epilog_commands.iter().map(command).collect();
    (!commands.is_empty()).then(|| from_parser(&help.parser, Source::Epilog, commands))
}

impl Said {
    /// The contract on stdout; a broken one is an error, not the absence of one.
    fn contract(&self) -> Option<Result<Description, String>> {
        let stdout = self.stdout.trim();
        match json_of(stdout) {
            Some(value) => contract::parse(&value).map(|found| found.map_err(|error| error.to_string())),
            None if stdout.starts_with('{') && stdout.contains("\"commands\"") => {
                let error = serde_json::from_str::<Value>(stdout).err()?;
                Some(Err(format!("its contract is broken JSON: {error}")))
            }
            None => None,
        }
    }

    /// A parse that came before the real one says nothing of commands.
    fn parser(&self) -> Option<&Parser> {
        self.report.as_ref().filter(|report| !report.provisional).map(|report| &report.parser)
    }

    /// It ended in an uncaught exception before anything could be seen of it: asking again is of no use.
    fn crashed(&self) -> bool {
        self.report.is_none()
            && self.stdout.trim().is_empty()
            && self.stderr.contains("Traceback (most recent")
    }

    /// Where the help text is; some print it on stderr.
    fn text(&self) -> &str {
        if self.stdout.trim().is_empty() { &self.stderr } else { &self.stdout }
    }

    fn reason(&self) -> String {
        let ended = match self.end {
            End::Exited(0) => "it names no commands".to_owned(),
            End::Exited(status) => format!("exited with {status}"),
            End::Signaled(signal) => format!("was ended by signal {signal}"),
            End::TimedOut | End::Cancelled | End::Flooded => "did not finish".to_owned(),
        };
        match self.stderr.trim().lines().last() {
            Some(line) => format!("{ended}: {}", line.trim().chars().take(300).collect::<String>()),
            None => ended,
        }
    }
}
