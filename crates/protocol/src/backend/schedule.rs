//! Schedules: made and changed by people, fired by deadlines. Not built yet: every call is refused.
use super::rows::Rows;
use super::{Actor, Backend};
use crate::error::{CallError, ErrorCode};
use crate::wire::*;
fn not_yet() -> CallError {
    CallError::new(ErrorCode::Unavailable, "Not built yet.")
}
impl<R: Rows> Backend<'_, R> {
    pub(super) fn schedule_list(
        &mut self,
        _: &Actor,
        _: ListSchedulesArgs,
    ) -> Result<ScheduleList, CallError> {
        Err(not_yet())
    }
    pub(super) fn schedule_view(
        &mut self,
        _: &Actor,
        _: ScheduleArgs,
    ) -> Result<ScheduleView, CallError> {
        Err(not_yet())
    }
    pub(super) fn schedule_ledger(
        &mut self,
        _: &Actor,
        _: LedgerArgs,
    ) -> Result<Ledger, CallError> {
        Err(not_yet())
    }
    pub(super) fn schedule_create(
        &mut self,
        _: &Actor,
        _: CreateScheduleArgs,
    ) -> Result<ScheduleView, CallError> {
        Err(not_yet())
    }
    pub(super) fn schedule_edit(
        &mut self,
        _: &Actor,
        _: EditScheduleArgs,
    ) -> Result<ScheduleView, CallError> {
        Err(not_yet())
    }
    pub(super) fn schedule_pause(
        &mut self,
        _: &Actor,
        _: ScheduleArgs,
    ) -> Result<ScheduleView, CallError> {
        Err(not_yet())
    }
    pub(super) fn schedule_resume(
        &mut self,
        _: &Actor,
        _: ScheduleArgs,
    ) -> Result<ScheduleView, CallError> {
        Err(not_yet())
    }
    pub(super) fn schedule_run_now(
        &mut self,
        _: &Actor,
        _: ScheduleArgs,
    ) -> Result<RunReply, CallError> {
        Err(not_yet())
    }
    pub(super) fn schedule_cancel_run(
        &mut self,
        _: &Actor,
        _: RunArgs,
    ) -> Result<RunReply, CallError> {
        Err(not_yet())
    }
    pub(super) fn schedule_delete(
        &mut self,
        _: &Actor,
        _: ScheduleArgs,
    ) -> Result<Done, CallError> {
        Err(not_yet())
    }
}
