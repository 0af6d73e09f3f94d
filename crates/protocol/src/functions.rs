//! Every function of the contract in one table: its name, who may call it, what it takes and gives. The
//! hub's routes, the OpenAPI description, the TypeScript types and the test of who may call what are all
//! made from this table.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};

use crate::wire::{
    Activity, ActivityArgs, AnswerAskArgs, ChatArgs, ChatView, CommandArgs, CommandView,
    ConfigureWorkerArgs, ConnectArgs, ConnectReply, CreateMachineArgs, CreateScheduleArgs,
    DirectoryArgs, DirectoryView, DisconnectArgs, Done, EditScheduleArgs, EndSessionArgs,
    FinishCommandArgs, HeartbeatArgs, Inbox, Ledger, LedgerArgs, ListSchedulesArgs, MachineArgs,
    MachineCredentials, MachineHealth, MachineList, MachineView, NoArgs, OpenAskArgs, OpenAskReply,
    RegisterMachineArgs, RegisterWorkerArgs, RegistrationKeyReply, RenameMachineArgs,
    RenameSessionArgs, RenameWorkerArgs, ReportCommandArgs, ReportSessionArgs, ReportWorkerArgs,
    RequestCommandArgs, RunArgs, RunReply, ScheduleArgs, ScheduleList, ScheduleView,
    SendMessageArgs, SettleAskArgs, StartSessionArgs, StartSessionReply, TakenCommand, TakenTurn,
    TranscriptArgs, TranscriptPage, TurnArgs, TurnReply, WorkerArgs, WorkerSummary,
    WriteMessageArgs,
};

/// Who may call a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whoever brings the credential that is among the arguments.
    Anyone,
    /// A signed-in person, for what they own.
    Person,
    /// A machine on its current connection, for its own rows.
    Machine,
}

/// What a function does to the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reads. Can be called, and can be watched.
    Query,
    /// Changes. Carries an idempotency key.
    Mutation,
}

/// A function of the contract.
pub trait Function {
    /// Its name: `worker.chat.sendMessage`.
    const NAME: &'static str;
    /// Who may call it.
    const ACCESS: Access;
    /// What it does.
    const KIND: Kind;
    /// What it takes.
    type Args: Serialize + DeserializeOwned + JsonSchema + Send;
    /// What it gives.
    type Reply: Serialize + DeserializeOwned + JsonSchema + Send;
}

/// A function's entry in the table.
#[derive(Clone, Copy)]
pub struct FunctionInfo {
    /// Its name.
    pub name: &'static str,
    /// Who may call it.
    pub access: Access,
    /// What it does.
    pub kind: Kind,
    /// What it is for, in a line.
    pub doc: &'static str,
    /// The schema of its arguments.
    pub args_schema: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of its reply.
    pub reply_schema: fn(&mut SchemaGenerator) -> Schema,
    /// Its arguments' and its reply's names in TypeScript.
    pub type_names: (&'static str, &'static str),
}

impl std::fmt::Debug for FunctionInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FunctionInfo")
            .field("name", &self.name)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// Looks a function up by its name.
#[must_use]
pub fn find(name: &str) -> Option<&'static FunctionInfo> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// Calls the macro it is given with the whole table: `[name, "wire.name", Type, access, kind, Args => Reply, "doc"]*`.
/// `name` is the method of the backend core that answers.
macro_rules! with_functions {
    ($callback:ident) => {
        $callback! {
            [machine_list, "machine.list", ListMachines, Person, Query, NoArgs => MachineList, "All machines of the caller."]
            [machine_view, "machine.view", ViewMachine, Person, Query, MachineArgs => MachineView, "One machine, its workers and its chat sessions."]
            [machine_health, "machine.health", ViewHealth, Person, Query, MachineArgs => MachineHealth, "How a machine is, for whoever looks into a problem."]
            [machine_create, "machine.create", CreateMachine, Person, Mutation, CreateMachineArgs => RegistrationKeyReply, "Adds a machine and gives the key with which its process registers."]
            [machine_reissue_key, "machine.reissueKey", ReissueKey, Person, Mutation, MachineArgs => RegistrationKeyReply, "Replaces the registration key of a machine that has not registered."]
            [machine_rename, "machine.rename", RenameMachine, Person, Mutation, RenameMachineArgs => Done, "Gives a machine another name."]
            [machine_revoke, "machine.revoke", RevokeMachine, Person, Mutation, MachineArgs => Done, "Voids a machine's credentials, cuts its connection, closes its chat sessions."]
            [machine_register, "machine.register", RegisterMachine, Anyone, Mutation, RegisterMachineArgs => MachineCredentials, "Exchanges a registration key for the machine's own credentials."]
            [machine_connect, "machine.connect", Connect, Anyone, Mutation, ConnectArgs => ConnectReply, "Hands out a connection. With its first use it takes effect, and fences all earlier ones of the machine."]
            [machine_heartbeat, "machine.heartbeat", Heartbeat, Machine, Mutation, HeartbeatArgs => Done, "A sign of life. The first thing to call on a connection."]
            [machine_disconnect, "machine.disconnect", Disconnect, Machine, Mutation, DisconnectArgs => Done, "The machine says goodbye."]
            [machine_inbox, "machine.inbox", ReadInbox, Machine, Query, NoArgs => Inbox, "All that the machine should know now."]
            [machine_directory, "machine.directory", ViewDirectory, Person, Query, DirectoryArgs => DirectoryView, "A directory as it was last listed."]
            [machine_activity, "machine.activity", ReadActivity, Person, Query, ActivityArgs => Activity, "What was asked of a machine, latest first."]
            [command_request, "machine.command.request", RequestCommand, Person, Mutation, RequestCommandArgs => CommandView, "Asks a machine to do something below its root; it waits while the machine is away."]
            [command_cancel, "machine.command.cancel", CancelCommand, Person, Mutation, CommandArgs => CommandView, "Stops a command: a waiting one, or one of a machine that is away, at once; a running one as soon as the machine hears of it."]
            [command_view, "machine.command.view", ViewCommand, Person, Query, CommandArgs => CommandView, "One command and its result."]
            [command_take, "machine.command.take", TakeCommand, Machine, Mutation, CommandArgs => TakenCommand, "The machine takes a command and learns what to do."]
            [command_report, "machine.command.report", ReportCommand, Machine, Mutation, ReportCommandArgs => Done, "The machine says how far a command is."]
            [command_finish, "machine.command.finish", FinishCommand, Machine, Mutation, FinishCommandArgs => Done, "How a command ended."]
            [worker_register, "worker.register", RegisterWorker, Person, Mutation, RegisterWorkerArgs => WorkerSummary, "Adds a worker for a directory, or gives the one it has."]
            [worker_rename, "worker.rename", RenameWorker, Person, Mutation, RenameWorkerArgs => Done, "Gives a worker another name."]
            [worker_configure, "worker.configure", ConfigureWorker, Person, Mutation, ConfigureWorkerArgs => WorkerSummary, "Sets how the chat sessions of a worker run that start from now on."]
            [worker_remove, "worker.remove", RemoveWorker, Person, Mutation, WorkerArgs => Done, "Removes a worker and closes its chat sessions; its directory stays."]
            [worker_report, "worker.report", ReportWorker, Machine, Mutation, ReportWorkerArgs => Done, "The machine says how a worker's directory is."]
            [chat_start_session, "worker.chat.startSession", StartSession, Person, Mutation, StartSessionArgs => StartSessionReply, "Starts a chat session."]
            [chat_rename_session, "worker.chat.renameSession", RenameSession, Person, Mutation, RenameSessionArgs => Done, "Gives a chat session another title."]
            [chat_end_session, "worker.chat.endSession", EndSession, Person, Mutation, EndSessionArgs => Done, "Ends a chat session and its process; the transcript stays."]
            [chat_send_message, "worker.chat.sendMessage", SendMessage, Person, Mutation, SendMessageArgs => TurnReply, "Sends a message; it queues while the chat session is busy or its machine away."]
            [chat_cancel_turn, "worker.chat.cancelTurn", CancelTurn, Person, Mutation, TurnArgs => TurnReply, "Stops a turn: a waiting one, or one of a machine that is away, at once; a running one as soon as the machine hears of it."]
            [chat_continue_turn, "worker.chat.continueTurn", ContinueTurn, Person, Mutation, TurnArgs => TurnReply, "Asks the agent to go on after an interrupted turn."]
            [chat_answer_ask, "worker.chat.answerAsk", AnswerAsk, Person, Mutation, AnswerAskArgs => Done, "Answers an ask, once."]
            [chat_view, "worker.chat.view", ViewChat, Person, Query, ChatArgs => ChatView, "A chat session, its latest turns without texts, and its asks."]
            [chat_transcript, "worker.chat.transcript", ReadTranscript, Person, Query, TranscriptArgs => TranscriptPage, "A page of turns with their texts."]
            [chat_report_session, "worker.chat.reportSession", ReportSession, Machine, Mutation, ReportSessionArgs => Done, "The machine says how a chat session's process is."]
            [chat_take_turn, "worker.chat.takeTurn", TakeTurn, Machine, Mutation, TurnArgs => TakenTurn, "The machine takes the next turn and gets its text."]
            [chat_write_message, "worker.chat.writeMessage", WriteMessage, Machine, Mutation, WriteMessageArgs => Done, "The complete answer; ends the turn."]
            [chat_open_ask, "worker.chat.openAsk", OpenAsk, Machine, Mutation, OpenAskArgs => OpenAskReply, "The agent process waits for a person."]
            [chat_settle_ask, "worker.chat.settleAsk", SettleAsk, Machine, Mutation, SettleAskArgs => Done, "An ask's answer has arrived, or nobody waits for it any more."]
            [schedule_list, "schedule.list", ListSchedules, Person, Query, ListSchedulesArgs => ScheduleList, "The schedules of the caller, or of one worker."]
            [schedule_view, "schedule.view", ViewSchedule, Person, Query, ScheduleArgs => ScheduleView, "One schedule and its latest runs."]
            [schedule_ledger, "schedule.ledger", ReadLedger, Person, Query, LedgerArgs => Ledger, "What became of each firing, latest first."]
            [schedule_create, "schedule.create", CreateSchedule, Person, Mutation, CreateScheduleArgs => ScheduleView, "Sends a message to a worker at set times from now on."]
            [schedule_edit, "schedule.edit", EditSchedule, Person, Mutation, EditScheduleArgs => ScheduleView, "Changes a schedule from now on."]
            [schedule_pause, "schedule.pause", PauseSchedule, Person, Mutation, ScheduleArgs => ScheduleView, "Stops a schedule from firing; runs that have begun go on."]
            [schedule_resume, "schedule.resume", ResumeSchedule, Person, Mutation, ScheduleArgs => ScheduleView, "Lets a paused schedule fire again, from now on."]
            [schedule_run_now, "schedule.runNow", RunScheduleNow, Person, Mutation, ScheduleArgs => RunReply, "Starts a run that is no firing, as the overlap policy allows."]
            [schedule_cancel_run, "schedule.cancelRun", CancelRun, Person, Mutation, RunArgs => RunReply, "Stops a run, waiting or under way."]
            [schedule_delete, "schedule.delete", DeleteSchedule, Person, Mutation, ScheduleArgs => Done, "Deletes a schedule and stops its runs; its ledger stays."]
        }
    };
}
pub(crate) use with_functions;

macro_rules! declare {
    ($([$method:ident, $name:literal, $Type:ident, $access:ident, $kind:ident, $Args:ident => $Reply:ident, $doc:literal])*) => {
        $(
            #[doc = $doc]
            #[derive(Debug, Clone, Copy)]
            pub struct $Type;

            impl Function for $Type {
                const NAME: &'static str = $name;
                const ACCESS: Access = Access::$access;
                const KIND: Kind = Kind::$kind;
                type Args = $Args;
                type Reply = $Reply;
            }
        )*

        /// The whole table.
        pub const FUNCTIONS: &[FunctionInfo] = &[$(FunctionInfo {
            name: $name,
            access: Access::$access,
            kind: Kind::$kind,
            doc: $doc,
            args_schema: |generator| generator.subschema_for::<$Args>(),
            reply_schema: |generator| generator.subschema_for::<$Reply>(),
            type_names: (stringify!($Args), stringify!($Reply)),
        }),*];
    };
}
with_functions!(declare);
