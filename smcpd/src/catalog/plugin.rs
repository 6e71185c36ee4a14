//! A plugin as it was described, with what the operator grants it, and how its commands are run.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Map, Value};

use super::arguments::{self, ArgumentError};
use super::environment::Environment;
use super::header_parameters::{HeaderParameter, header_parameters};
use super::model::Description;
use super::output::ToolOutput;
use super::output_schema::OutputSchema;
use super::ownership::Risk;
use super::pins::Standing;
use super::plugin_file::{self, Contents};
use super::scan::Located;
use super::silent::{self, Silent};
use super::warmth::Warmth;
use super::{argv, offers, schema};
use crate::config::{self, Serialize, WarmMode};
use crate::executor::sandbox::Sandbox;
use crate::executor::{Admission, Invocation, OutputLimit};
use crate::letta::Variables;

/// Bytes that may pass before a program is ended, as a multiple of what is kept.
const CEILING: u64 = 32;

/// A described plugin, and what the operator grants it.
#[derive(Debug)]
pub(crate) struct Plugin {
    located: Located,
    digest: String,
    approved: Approved,
    description: Description,
    has_readme: bool,
    environment: Environment,
    warm: Warmth,
    /// The working directory of its calls.
    state: PathBuf,
    /// That is a directory of the operator's choice, which may not answer.
    runs_elsewhere: bool,
    /// What the operator allows; a contract can only narrow it.
    timeout: Option<Duration>,
    lanes: Lanes,
    output: OutputLimit,
    /// What is made of each command's schemas, once.
    made: Vec<Made>,
}

/// How what a plugin says stands to what was approved.
#[derive(Debug, Default)]
pub(super) struct Approved {
    /// The digest of what a model sees of it.
    pub(super) contract: String,
    pub(super) standing: Standing,
}

/// What is made of the schemas of a command when it is first needed; an error is why nothing can be.
#[derive(Debug, Default)]
struct Made {
    output: OnceLock<Result<OutputSchema, String>>,
    headers: OnceLock<Result<Vec<HeaderParameter>, String>>,
}

/// What holds where nothing is granted to the plugin itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults<'a> {
    pub(super) execution: &'a config::Execution,
    pub(super) warm: WarmMode,
}

/// How the calls of a plugin stand to each other and to those of others.
#[derive(Debug, Clone)]
struct Lanes {
    lane: Arc<str>,
    /// Readers of a lane of one slot overlap.
    readers_overlap: bool,
    slots: NonZeroUsize,
}

impl Plugin {
    pub(super) fn new(
        located: Located,
        (digest, approved): (String, Approved),
        description: Description,
        environment: Environment,
        state: PathBuf,
        granted: &config::Plugin,
        defaults: Defaults<'_>,
    ) -> Self {
        let execution = defaults.execution;
        let lanes = match execution.serialize {
            Serialize::All => Lanes { lane: "*".into(), readers_overlap: false, slots: NonZeroUsize::MIN },
            Serialize::Plugin => Lanes {
                lane: located.name.as_str().into(),
                readers_overlap: true,
                slots: granted.concurrency.unwrap_or(NonZeroUsize::MIN),
            },
            Serialize::None => Lanes {
                lane: located.name.as_str().into(),
                readers_overlap: true,
                slots: granted.concurrency.unwrap_or(execution.max_concurrent),
            },
        };
        let has_readme =
            located.directory.join(offers::README).symlink_metadata().is_ok_and(|found| found.is_file());
        let warm = Warmth::choose(&located, &description, &environment, &state, granted, defaults.warm);
        let made = description.commands.iter().map(|_| Made::default()).collect();
        Self {
            located,
            digest,
            approved,
            description,
            has_readme,
            made,
            environment,
            warm,
            state,
            runs_elsewhere: granted.directory.is_some(),
            timeout: granted.timeout.unwrap_or(execution.timeout),
            lanes,
            output: OutputLimit {
                keep: execution.output_limit,
                ceiling: execution.output_limit as u64 * CEILING,
            },
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.located.name
    }

    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// What is run, for people.
    pub(crate) fn command_line(&self) -> String {
        let words = self.located.prefix.iter().map(|word| word.to_string_lossy());
        let program = self.located.program.to_string_lossy();
        std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ")
    }

    /// The limit of a command that has none of its own.
    pub(crate) fn default_timeout(&self) -> Option<Duration> {
        let narrowed = self.description.timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        [self.timeout, narrowed].into_iter().flatten().min()
    }

    /// Calls of it that may run at once.
    pub(crate) fn slots(&self) -> usize {
        self.lanes.slots.get()
    }

    /// Whether a call of it would find this variable set.
    pub(crate) fn has_variable(&self, name: &str) -> bool {
        self.environment.has(name)
    }

    /// Whether lines of a command's stderr may be progress.
    pub(crate) fn reports_progress(&self, command: usize) -> bool {
        self.description.commands.get(command).is_some_and(|command| command.progress)
    }

    /// When it came: who came first keeps a name.
    pub(super) fn linked(&self) -> std::time::SystemTime {
        self.located.linked
    }

    pub(super) fn has_readme(&self) -> bool {
        self.has_readme
    }

    /// Reads one of its files for a client; the error is the reason to show.
    pub(crate) fn read_file(&self, path: &Path) -> Result<Contents, String> {
        plugin_file::read(&self.located.directory, path)
    }

    /// Holds what a call of a command ended with to the command's `outputSchema`.
    pub(crate) fn checked(&self, command: usize, output: ToolOutput) -> ToolOutput {
        match self.output_schema(command) {
            Some(Ok(schema)) => schema.checked(output),
            // It is not listed, so nothing was promised.
            Some(Err(_)) | None => output,
        }
    }

    pub(super) fn output_schema(&self, command: usize) -> Option<Result<&OutputSchema, &str>> {
        let schema = self.description.commands.get(command)?.output_schema.as_ref()?;
        let made = self.made[command].output.get_or_init(|| OutputSchema::compile(schema));
        Some(made.as_ref().map_err(String::as_str))
    }

    pub(super) fn header_parameters(&self, command: usize) -> Result<&[HeaderParameter], &str> {
        let make = || {
            let command = &self.description.commands[command];
            // Only what the author wrote in JSON Schema's words can name a header.
            let has_keywords = command.parameters.iter().any(|one| !one.keywords.is_empty());
            match command.input_schema.is_some() || has_keywords {
                true => header_parameters(&schema::of(command)),
                false => Ok(Vec::new()),
            }
        };
        let made = self.made[command].headers.get_or_init(make);
        made.as_ref().map(Vec::as_slice).map_err(String::as_str)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.located.directory
    }

    /// How it stands to its pin.
    pub(crate) fn standing(&self) -> &Standing {
        &self.approved.standing
    }

    pub(super) fn contract(&self) -> &str {
        &self.approved.contract
    }

    /// Files and directories of it that its group may change.
    pub(crate) fn risks(&self) -> &[Risk] {
        &self.located.risks
    }

    pub(super) fn located(&self) -> &Located {
        &self.located
    }

    /// What is kept ready for its calls.
    pub(crate) fn warmth(&self) -> &Warmth {
        &self.warm
    }

    /// What its processes are held to; nothing where the operator wants that.
    pub(crate) fn sandbox(&self) -> Option<&Sandbox> {
        self.located.confinement.sandbox().map(|held| &**held)
    }

    /// What it finds in its environment, before what a call adds.
    pub(super) fn own_environment(&self) -> &Environment {
        &self.environment
    }

    /// Whether this was made of these very files.
    pub(super) fn is_of(&self, located: &Located, digest: &str) -> bool {
        self.located == *located && self.digest == digest
    }
}

/// Who asks for a call, as the plugin is told.
#[derive(Debug, Clone)]
pub(crate) struct CallContext<'a> {
    pub(crate) id: &'a str,
    pub(crate) caller: &'a str,
    /// `X-Agent-Id`: a claim.
    pub(crate) agent: Option<&'a str>,
    pub(crate) traceparent: Option<&'a str>,
    /// What the client can do, as JSON.
    pub(crate) capabilities: &'a str,
    /// Answers to what the command asked when it ran before, as JSON.
    pub(crate) input: Option<&'a str>,
    /// Those of an agent that this plugin gets.
    pub(crate) variables: Option<Variables>,
    /// Whose turn it is when calls wait.
    pub(crate) turn: Arc<str>,
}

impl Plugin {
    /// Checks the arguments of a call that is not to be run yet.
    pub(crate) fn check_arguments(
        &self,
        command: usize,
        given: &Map<String, Value>,
    ) -> Result<(), ArgumentError> {
        let command = &self.description.commands[command];
        let values = arguments::check(command, given)?;
        match command.stdin {
            true => Ok(()),
            false => argv::build(command, &values).map(|_| ()),
        }
    }

    /// Checks the arguments and returns how the executor should run the call.
    pub(crate) fn prepare(
        &self,
        command: usize,
        given: &Map<String, Value>,
        context: &CallContext<'_>,
    ) -> Result<(Admission, Invocation), ArgumentError> {
        let command = &self.description.commands[command];
        let values = arguments::check(command, given)?;
        let (words, stdin) = if command.stdin {
            let object: Map<String, Value> =
                values.into_iter().map(|(parameter, value)| (parameter.name.clone(), value)).collect();
            let words = command.path.iter().map(Into::into).collect();
            (words, Some(serde_json::to_vec(&object).expect("an object has string keys")))
        } else {
            (argv::build(command, &values)?, None)
        };
        let admission = self.admission(command.is_read_only(), command.concurrency, context);
        Ok((admission, self.invocation(words, stdin, self.timeout(command.timeout), context)))
    }

    /// Returns how the executor should run the command of a resource, a prompt or of completion: with `words`, then
    /// `--name=value` each. It only reads. The error names what no command line can say.
    pub(crate) fn prepare_offer(
        &self,
        words: &[String],
        flags: &[(&str, &str)],
        context: &CallContext<'_>,
    ) -> Result<(Admission, Invocation), ArgumentError> {
        let flags = flags.iter().map(|(name, value)| argv::flag(name, value));
        let argv: Vec<OsString> =
            words.iter().map(|word| Ok(word.into())).chain(flags).collect::<Result<_, ArgumentError>>()?;
        let admission = self.admission(true, None, context);
        Ok((admission, self.invocation(argv, None, self.timeout(None), context)))
    }

    /// Returns how a command is run by hand: with `words` as they are, for nobody's turn and no agent.
    pub(crate) fn by_hand(&self, words: Vec<OsString>, caller: &str) -> Invocation {
        let context = CallContext {
            id: "by-hand",
            caller,
            agent: None,
            traceparent: None,
            capabilities: "{}",
            input: None,
            variables: None,
            turn: "by-hand".into(),
        };
        self.invocation(words, None, self.timeout(None), &context)
    }

    fn invocation(
        &self,
        words: Vec<OsString>,
        stdin: Option<Vec<u8>>,
        timeout: Option<Duration>,
        context: &CallContext<'_>,
    ) -> Invocation {
        let environment = self.environment(context);
        Invocation {
            call: context.id.to_owned(),
            program: self.located.program.clone(),
            argv: self.located.prefix.iter().cloned().chain(words).collect(),
            warm: self.warm.of_call(&environment, context.variables.is_some()),
            environment: environment.into_pairs(),
            directory: self.state.clone(),
            stdin,
            timeout,
            output: self.output,
            spill: None,
            sandbox: self.located.confinement.sandbox().cloned(),
        }
    }

    fn environment(&self, context: &CallContext<'_>) -> Environment {
        let mut environment = self.environment.clone();
        if let Some(variables) = &context.variables {
            environment.add(variables);
        }
        environment.set("SMCP_CALLER", context.caller);
        environment.set("SMCP_STATE_DIR", &self.state);
        environment.set("SMCP_CLIENT_CAPABILITIES", context.capabilities);
        for (name, value) in [
            ("SMCP_AGENT_ID", context.agent),
            ("TRACEPARENT", context.traceparent),
            ("SMCP_INPUT", context.input),
        ] {
            match value {
                Some(value) => environment.set(name, value),
                None => environment.remove(name),
            }
        }
        environment
    }

    /// The shortest of what the operator grants and what the contract asks for.
    fn timeout(&self, of_command: Option<f64>) -> Option<Duration> {
        let asked = of_command.or(self.description.timeout).filter(|seconds| *seconds > 0.0);
        let asked = asked.map(Duration::from_secs_f64);
        [self.timeout, asked].into_iter().flatten().min()
    }

    fn admission(&self, only_reads: bool, of_command: Option<u32>, context: &CallContext<'_>) -> Admission {
        let asked = of_command.or(self.description.concurrency).and_then(|n| usize::try_from(n).ok());
        let slots = match asked.and_then(NonZeroUsize::new) {
            Some(asked) => self.lanes.slots.min(asked),
            None => self.lanes.slots,
        };
        Admission {
            lane: Arc::clone(&self.lanes.lane),
            shared: self.lanes.readers_overlap && only_reads,
            slots,
            caller: Arc::clone(&context.turn),
        }
    }

    /// Creates the working directory of its calls, which may have been removed since the last one.
    pub(crate) async fn create_state(&self, silent: &Arc<Silent>) -> std::io::Result<()> {
        if !self.runs_elsewhere {
            return create(&self.state);
        }
        let directory = self.state.clone();
        let created = silent.look_at(&self.located.name, move |_| create(&directory)).await;
        created.unwrap_or_else(|| Err(std::io::Error::new(std::io::ErrorKind::TimedOut, silent::REASON)))
    }
}

fn create(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if directory.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}
