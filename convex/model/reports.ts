/** The place of a machine's report: one that comes late or again changes nothing. */
export interface ReportPlace {
  epoch: number;
  seq: number;
}

/** Before every report. */
export const NEVER_REPORTED: ReportPlace = { epoch: 0, seq: 0 };

export const isLater = (place: ReportPlace, than: ReportPlace): boolean =>
  place.epoch === than.epoch ? place.seq > than.seq : place.epoch > than.epoch;
