//! The settings there are, and where a value can come from.

use std::path::PathBuf;

macro_rules! settings {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal, $env:literal, $kind:ident;)*) => {
        /// Something that can be set.
        #[expect(clippy::enum_variant_names, reason = "a registration key is a key in another sense")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Key {
            $($(#[doc = $doc])* $name,)*
        }

        impl Key {
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in the configuration file.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Its variable.
            pub(crate) const fn variable(self) -> &'static str {
                match self { $(Self::$name => $env,)* }
            }

            pub(super) const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// What it means, in a line.
            pub(crate) const fn doc(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*),)* }
            }
        }
    };
}

/// What a setting's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A directory or file; below the directory of the configuration file if it is relative there.
    Place,
    Number,
    Flag,
    /// Several texts, with commas between them.
    List,
    /// Never shown, and never in the configuration file.
    Secret,
}

settings! {
    /// The address the hub listens on.
    Listen = "listen", "ORCHESTRATOR_LISTEN", Text;
    /// Where the hub keeps its database and this computer's files.
    DataDir = "data_dir", "ORCHESTRATOR_DATA_DIR", Place;
    /// The directory that everything on this machine stays below.
    Root = "root", "ORCHESTRATOR_ROOT", Place;
    /// The address under which others reach the hub.
    PublicUrl = "public_url", "ORCHESTRATOR_PUBLIC_URL", Text;
    /// Further hosts that the hub answers to.
    AllowHosts = "allow_hosts", "ORCHESTRATOR_ALLOW_HOSTS", List;
    /// The backend that this machine and the commands talk to.
    Backend = "backend", "ORCHESTRATOR_BACKEND", Text;
    /// The Convex deployment that takes the hub's place.
    Convex = "convex", "ORCHESTRATOR_CONVEX", Text;
    /// The identity provider with which the page signs people in to it.
    ConvexIssuer = "convex_issuer", "ORCHESTRATOR_CONVEX_ISSUER", Text;
    /// What that identity provider calls the page.
    ConvexClientId = "convex_client_id", "ORCHESTRATOR_CONVEX_CLIENT_ID", Text;
    /// What this machine is called.
    Name = "name", "ORCHESTRATOR_NAME", Text;
    /// Where this machine keeps its MACHINE_ID, its secret and its conversations.
    MachineDir = "machine_dir", "ORCHESTRATOR_MACHINE_DIR", Place;
    /// This machine's id, in place of the stored one.
    MachineId = "machine_id", "ORCHESTRATOR_MACHINE_ID", Text;
    /// This machine's secret, in place of the stored one.
    MachineSecret = "machine_secret", "ORCHESTRATOR_MACHINE_SECRET", Secret;
    /// The key with which this machine registers.
    RegistrationKey = "registration_key", "ORCHESTRATOR_REGISTRATION_KEY", Secret;
    /// A person's token for the commands.
    Token = "token", "ORCHESTRATOR_TOKEN", Secret;
    /// The opencode to run; nothing else is looked for.
    Opencode = "opencode", "ORCHESTRATOR_OPENCODE", Place;
    /// The directory in which the pinned opencode is installed.
    OpencodeDir = "opencode_dir", "ORCHESTRATOR_OPENCODE_DIR", Place;
    /// Configuration for opencode on top of the person's own, as JSON.
    OpencodeConfig = "opencode_config", "ORCHESTRATOR_OPENCODE_CONFIG", Text;
    /// Keep opencode apart from the person's own configuration, and from the network.
    OpencodeLean = "opencode_lean", "ORCHESTRATOR_OPENCODE_LEAN", Flag;
    /// How long running turns may go on when a machine stops, in seconds.
    DrainSeconds = "drain_seconds", "ORCHESTRATOR_DRAIN_SECONDS", Number;
    /// How long a chat session's opencode may sit without work before it is stopped, in minutes.
    HibernateMinutes = "hibernate_minutes", "ORCHESTRATOR_HIBERNATE_MINUTES", Number;
    /// How many opencodes wait, already started, for the next chat session of a directory in use; 0 keeps none.
    Spares = "spares", "ORCHESTRATOR_SPARES", Number;
    /// How many opencodes may run at once, one for each chat session that is at work; further messages wait in line.
    MaxProcesses = "max_processes", "ORCHESTRATOR_MAX_PROCESSES", Number;
    /// How much memory, in MiB, they and what they run may take before no further one is started; one may always run.
    MaxMemoryMib = "max_memory_mib", "ORCHESTRATOR_MAX_MEMORY_MIB", Number;
    /// How git repositories may be cloned: of https, ssh, http and file.
    GitProtocols = "git_protocols", "ORCHESTRATOR_GIT_PROTOCOLS", List;
    /// What is logged, as `info` or `hub=debug,warn`.
    Log = "log", "ORCHESTRATOR_LOG", Text;
    /// Run with the scripted model, apart from everything else.
    Demo = "demo", "ORCHESTRATOR_DEMO", Flag;
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Environment,
    File(PathBuf),
    /// Found out: the hub, or page, that runs on this computer.
    Running,
    Default,
}

impl Source {
    /// For a person.
    pub(crate) fn describe(&self, key: Key) -> String {
        match self {
            Self::Flag => format!("the flag --{}", key.name().replace('_', "-")),
            Self::Environment => format!("the variable {}", key.variable()),
            Self::File(path) => path.display().to_string(),
            Self::Running => "the hub that runs on this computer".to_owned(),
            Self::Default => "the default".to_owned(),
        }
    }
}
