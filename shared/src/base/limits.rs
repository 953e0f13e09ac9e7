//! Every limit of the product, with its unit in the name. Decoders, queues and tables read them from here.

/// Largest frame on the wire, header excluded.
pub const FRAME_BYTES_MAX: usize = 32 << 20;
/// Largest frame that a peer may send before it has been accepted (hello, join).
pub const GREETING_BYTES_MAX: usize = 16 << 10;
/// Bytes of ledger entries in one message to or from a mirror, unless a single entry is longer.
pub const LEDGER_COPY_BYTES_MAX: usize = 1 << 20;
/// Bytes of the file in which a node keeps evidence against others.
pub const EVIDENCE_BYTES_MAX: u64 = 64 << 20;
/// Entries of a ledger in such a message: more than fit, as even the shortest has 64 bytes.
pub const LEDGER_COPY_LINKS_MAX: usize = 1 << 14;
/// Bytes of one ledger entry with its place in the chain: terms of the longest study with approvals.
pub const LEDGER_LINK_BYTES_MAX: usize = (2 << 20) + 64;
/// Bytes of one node's ledger that the coordinator mirrors.
pub const MIRROR_BYTES_MAX: u64 = 1 << 30;
/// Entries that contradict the mirror of a node and are kept apart, for each node.
pub const MIRROR_FORKS_MAX: u64 = 4_096;
/// Cells of one private sum.
pub const CELLS_MAX: usize = 1 << 20;
/// Fine cells of a numeric column without the one for *missing*.
pub const NUMERIC_CELLS: usize = 64;
/// Levels of a categorical column.
pub const LEVELS_MAX: usize = 1_024;
/// Feature columns of a contract.
pub const FEATURES_MAX: usize = 512;
/// Tables of a contract that analysts may ask about.
pub const PUBLISHED_TABLES_MAX: usize = 64;
/// Columns of such a table.
pub const COLUMNS_MAX: usize = 512;
/// Bytes of the description of such a table or column.
pub const DESCRIPTION_BYTES_MAX: usize = 1_024;
/// Rows of one customer in one group that may count.
pub const ROWS_PER_GROUP_MAX: u32 = 1 << 16;
/// Groups of one answer to which one customer may count.
pub const GROUPS_PER_UNIT_MAX: u32 = 1 << 14;
/// Rows of one customer that a unit keeps of a table for analysts, whatever the contract asks for.
pub const ROWS_PER_UNIT_MAX: u32 = 1 << 12;
/// Rows of one customer that are kept at least where the contract does not say.
pub const ROWS_PER_UNIT_USUAL: u32 = 16;
/// Cells of a number for percentiles.
pub const GRID_CELLS_MAX: u8 = 64;
/// Customers that a unit may declare.
pub const CUSTOMERS_MAX: u64 = 1 << 32;
/// Cells of a question: groups times width.
pub const QUESTION_CELLS_MAX: usize = 1 << 14;
/// Group keys of a question.
pub const QUESTION_KEYS_MAX: usize = 4;
/// Aggregates in the text of a question.
pub const AGGREGATES_MAX: usize = 16;
/// Blocks of a question: at most five for each aggregate.
pub const QUESTION_BLOCKS_MAX: usize = 5 * AGGREGATES_MAX;
/// Values of an answer: groups times columns.
pub const ANSWER_VALUES_MAX: usize = 1 << 18;
/// Outputs of a statement, and entries of its `ORDER BY`.
pub const OUTPUTS_MAX: usize = 64;
/// Values of a list in a condition on released values.
pub const HAVING_VALUES_MAX: usize = 1_024;
/// Conditions of a question's filter, in its text and in canonical form.
pub const TERMS_MAX: usize = 64;
/// Levels and ranges over all conditions of a canonical filter.
pub const FILTER_VALUES_MAX: usize = 1 << 14;
/// Levels of nesting of a question's filter, in its text and in canonical form.
pub const FILTER_DEPTH_MAX: usize = 32;
/// Questions that are under way at a time.
pub const QUESTIONS_RUNNING_MAX: usize = 64;
/// Questions of one analyst that are under way at a time.
pub const QUESTIONS_RUNNING_PER_ANALYST_MAX: usize = 8;
/// Request ids of one analyst that stand for answers which were there already, and how long they are kept.
pub const REQUEST_IDS_MAX: u64 = 100_000;
/// See [`REQUEST_IDS_MAX`].
pub const REQUEST_IDS_KEPT_MS: u64 = 90 * 24 * 60 * 60 * 1_000;
/// Answers that are read for their askers at a time.
pub const PRESENTATIONS_MAX: usize = 2;
/// Askers who wait for one answer.
pub const ASKERS_MAX: usize = 256;
/// Bytes of the text of a statement.
pub const STATEMENT_BYTES_MAX: usize = 64 << 10;
/// Bytes of one message of a SQL client: a statement, or its values; before it has proved who it is, [`SQL_GREETING_BYTES_MAX`].
pub const SQL_MESSAGE_BYTES_MAX: usize = STATEMENT_BYTES_MAX + (8 << 10);
/// See [`SQL_MESSAGE_BYTES_MAX`].
pub const SQL_GREETING_BYTES_MAX: usize = 4 << 10;
/// Values bound to one statement.
pub const SQL_VALUES_MAX: usize = 512;
/// Connections of SQL clients at a time.
pub const SQL_CONNECTIONS_MAX: usize = 512;
/// Connections of SQL clients that have not yet proved who they are; where one more comes, the oldest of the address with most gives way.
pub const SQL_GREETINGS_MAX: usize = 256;
/// Connections of one party's SQL clients.
pub const SQL_CONNECTIONS_PER_PARTY_MAX: usize = 64;
/// Statements that one such connection keeps, and as many with values.
pub const SQL_STATEMENTS_MAX: usize = 256;
/// SQL clients from one address that have not said yet who they are.
pub const SQL_GREETINGS_PER_ADDRESS_MAX: usize = 64;
/// Bytes, about, of answers that one such connection has begun to read and keeps.
pub const SQL_ANSWERS_BYTES_MAX: usize = 16 << 20;
/// Bytes of all statements and values that one such connection keeps.
pub const SQL_KEPT_BYTES_MAX: usize = 1 << 20;
/// Connections of HTTPS clients at a time; where one more comes, the oldest without a token of the address with most such gives way.
pub const HTTPS_CONNECTIONS_MAX: usize = 512;
/// Connections of HTTPS clients from one address.
pub const HTTPS_CONNECTIONS_PER_ADDRESS_MAX: usize = 128;
/// Requests of one party that run at a time, those included whose clients have gone.
pub const HTTPS_REQUESTS_PER_PARTY_MAX: usize = 64;
/// Bytes of the first line and the headers of a request.
pub const HTTPS_HEAD_BYTES_MAX: usize = 16 << 10;
/// Headers of a request.
pub const HTTPS_HEADERS_MAX: usize = 64;
/// Bytes of the JSON around a statement: JSON may write one character in up to six.
pub const HTTPS_QUESTION_BYTES_MAX: usize = 6 * STATEMENT_BYTES_MAX + (8 << 10);
/// Bytes beyond its limit that a body may have and still hear that it is too long.
pub const HTTPS_DROPPED_BYTES_MAX: usize = 128 << 20;
/// Bytes of the inputs of one request for predictions.
pub const HTTPS_BATCH_BYTES_MAX: usize = 8 << 20;
/// Lines of one request for predictions.
pub const HTTPS_BATCH_LINES_MAX: usize = 10_000;
/// Requests for predictions that are read and answered at a time.
pub const HTTPS_BATCHES_MAX: usize = 16;
/// Such requests of one party.
pub const HTTPS_BATCHES_PER_PARTY_MAX: usize = 2;
/// Releases in one list.
pub const HTTPS_RELEASES_MAX: usize = 100;
/// Tokens of one party that are good at a time.
pub const TOKENS_PER_PARTY_MAX: usize = 32;
/// Longest life of a token.
pub const TOKEN_LIFE_MS_MAX: u64 = 90 * 86_400_000;
/// Rows that a catalogue statement may give.
pub const CATALOGUE_ROWS_MAX: usize = 1 << 15;
/// Bytes that a catalogue statement may hold while it is worked out, and that its answer may have.
pub const CATALOGUE_BYTES_MAX: usize = 32 << 20;
/// Bytes of one text that a catalogue statement makes.
pub const CATALOGUE_VALUE_BYTES_MAX: usize = 16 << 10;
/// Milliseconds that a catalogue statement may take.
pub const CATALOGUE_MS_MAX: u64 = 5_000;
/// Catalogue statements that are worked out at a time.
pub const CATALOGUE_AT_ONCE_MAX: usize = 2;
/// Levels of nesting in a catalogue statement.
pub const CATALOGUE_DEPTH_MAX: usize = 40;
/// Tables and joins in a catalogue statement.
pub const CATALOGUE_RELATIONS_MAX: usize = 48;
/// Rows of a series or array that stands in place of a table of the catalogue.
pub const CATALOGUE_SERIES_MAX: usize = 1_024;
/// Analysts whose catalogue is kept ready.
pub const CATALOGUE_SHELVES_MAX: usize = 16;
/// Answers of the catalogue that are kept for one analyst.
pub const CATALOGUE_KEPT_MAX: usize = 256;
/// Bytes of all answers of the catalogue that are kept for one analyst.
pub const CATALOGUE_KEPT_BYTES_MAX: usize = 1 << 20;
/// Past answers that the catalogue lists, the newest.
pub const CATALOGUE_ANSWERS_MAX: usize = 1_024;
/// Values of the last answer that a session keeps for its own statements.
pub const LAST_ANSWER_VALUES_MAX: usize = 1 << 14;
/// Bytes of an encoded question.
pub const QUESTION_BYTES_MAX: usize = 1 << 19;
/// Bytes of a name (node, study, model, column, level).
pub const NAME_BYTES_MAX: usize = 128;
/// Bytes of a contract or study file.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// Days for which a released model is used at most, where no rule in force says otherwise.
pub const MODEL_AGE_DAYS: u64 = 90;
/// Models of one message that tells nodes how long each is used; older ones first fall out.
pub const MODELS_TOLD_MAX: usize = 1_024;
/// Days for which one person's wish to recall a model stands: a second person joins it by then, or it is entered anew.
pub const RECALL_WISH_DAYS: u64 = 7;
/// Canaries of an audit.
pub const AUDIT_CANARIES_MAX: u64 = 100_000;
/// Largest figure of an audit's record: what a history can write as a number, by far.
pub const AUDIT_FIGURE_MAX: u64 = 1_000_000_000_000;
/// Characters of the reason why a model is retired or recalled.
pub const MODEL_WHY_CHARS_MAX: usize = 200;
/// Proposals to train one model anew.
pub const RETRAIN_PROPOSALS_MAX: u32 = 32;
/// Milliseconds after which a scheduled proposal that could not be made is tried again.
pub const RETRAIN_AGAIN_MS: u64 = 3_600_000;
/// Bytes of a model file.
pub const MODEL_BYTES_MAX: usize = 8 << 20;
/// Members of a study's roster.
pub const MEMBERS_MAX: usize = 1_024;
/// Fewest members of a group that aggregates securely (`shared-noise`).
pub const GROUP_MIN: usize = 4;
/// Most members of such a group; larger studies have several.
pub const GROUP_MAX: usize = 128;
/// Blocks of packed cells, each 8 bytes of a share record.
pub const SHARING_BLOCKS_MAX: usize = 524_286;
/// Bytes of the message with all records that one member dealt; larger sums are refused with their study.
pub const SHARES_BYTES_MAX: usize = 26 << 20;
/// Bytes of one member's point of a sum.
pub const OPENING_BYTES_MAX: usize = 104 + 8 * SHARING_BLOCKS_MAX;
/// Bytes of one member's advert in a roster.
pub const ADVERT_BYTES: usize = 202;
/// Bytes of one confirmation in a proof.
pub const CONFIRMATION_BYTES: usize = 66;
/// Every cell of an opened sum stays below this in absolute value, noise included.
pub const SHARING_SUM_ABS_END: i64 = 1 << 59;
/// Bytes of all records of one group in one sum, which the coordinator spools (4 GiB): follows from
/// [`SHARES_BYTES_MAX`] and [`GROUP_MAX`].
pub const SPOOL_BYTES_MAX: u64 = 4 << 30;
/// The longest sleep of a process that waits for a moment of the clock, which may be set meanwhile.
pub const CLOCK_LOOK_MS: u64 = 10_000;
/// Programs of nodes that settings may demand, and that the record of one sum names.
pub const PROGRAMS_MAX: usize = 64;
/// Rounds of a study.
pub const ROUNDS_MAX: usize = 1_000;
/// Rows of one published table at one node.
pub const PUBLISHED_ROWS_MAX: usize = 1 << 31;
/// Attempts of one round.
pub const ATTEMPTS_MAX: u16 = 4;
/// An attempt's longest life in milliseconds (ten minutes): so long a node keeps what an attempt needs, and twice as long passes
/// before it counts where peers stood in other studies.
pub const ATTEMPT_TTL_MS_MAX: u32 = 600_000;
/// At how many nodes one customer may be.
pub const MULTIPLICITY_MAX: u16 = 64;
/// Largest price of a round or a study, in micro-rho.
pub const URHO_MAX: u64 = 1 << 40;
/// Smallest and largest scale of a node's discrete Gaussian.
pub const SIGMA_MIN: u64 = 16;
/// See [`SIGMA_MIN`].
pub const SIGMA_MAX: u64 = 1 << 36;
/// Largest squared L2 reach of one customer.
pub const DELTA_SQ_MAX: u64 = 1 << 48;
/// `customers_max` times the largest cell of one customer, at one node.
pub const SUM_ABS_MAX: u64 = 1 << 50;
/// Answers to the offer of one study that are heard from one member; it decides far fewer times.
pub const ANSWERS_MAX: u32 = 32;
/// Approvals carried with one study.
pub const APPROVALS_MAX: usize = 16;
/// Questions at a time whose askers wait for news of a study.
pub const WATCHERS_MAX: usize = 1_024;
/// Such questions of one party.
pub const WATCHERS_PER_PARTY_MAX: usize = 64;
/// Files or objects of one table of a node.
pub const TABLE_FILES_MAX: usize = 100_000;
/// Partition folders (`key=value`) above one file of a table.
pub const PARTITION_KEYS_MAX: usize = 16;
/// Different names in the objects of one NDJSON table.
pub const JSON_COLUMNS_MAX: usize = 4_096;
/// Bytes of one line of NDJSON.
pub const JSON_LINE_BYTES_MAX: usize = 1 << 20;
/// Bytes of one answer that lists objects of a store: a thousand of the longest keys, each letter written as six.
pub const S3_LIST_BYTES_MAX: usize = 8 << 20;
/// Bytes of one tag in such an answer.
pub const S3_TAG_BYTES_MAX: usize = 4 << 10;
/// How long a node waits for a connection to a database or an object store, in milliseconds.
pub const SOURCE_CONNECT_MS_MAX: u64 = 10_000;
/// How long such a store may say nothing in the middle of an answer, in milliseconds.
pub const SOURCE_SILENCE_MS_MAX: u64 = 30_000;
/// How often a request to an object store is tried again.
pub const SOURCE_RETRIES_MAX: usize = 3;
/// How long a query of a table may run on a database server, in seconds, unless node.toml says otherwise.
pub const SOURCE_QUERY_SECONDS: u32 = 3_600;
/// A study's longest life from submission, in milliseconds (one year).
pub const STUDY_LIFE_MS_MAX: u64 = 366 * 24 * 3_600 * 1_000;
/// Rule packs of one set: a mask of them is one number.
pub const LAW_PACKS_MAX: usize = 32;
/// Rules of one pack.
pub const LAW_RULES_MAX: usize = 1_024;
/// Places in the scope of one pack.
pub const LAW_PLACES_MAX: usize = 300;
/// Bytes of a title, a reference or an address in a pack or a purpose.
pub const LAW_TEXT_BYTES_MAX: usize = 512;
/// Purposes of one file.
pub const PURPOSES_MAX: usize = 256;
/// Days for which an exception for a screened use may hold.
pub const EXCEPTION_DAYS_MAX: i32 = 366;
/// Characters of the reason for which a glass is broken.
pub const GLASS_REASON_CHARS_MAX: usize = 500;
/// Overrides that the record of a policy keeps, the newest; the history has all of them.
pub const OVERRIDES_KEPT_MAX: usize = 64;
/// What of a broken glass's day is charged ahead while a program runs under it, in milliseconds: what a crash costs of that day.
pub const GLASS_STEP_MS: u64 = 600_000;
/// Exceptions of one folder.
pub const EXCEPTIONS_MAX: usize = 64;
/// Days before its last one on which a rule is told to be about to expire.
pub const LAW_NOTICE_DAYS: i32 = 90;
/// Bytes of one export of a consent system.
pub const CONSENT_FILE_BYTES_MAX: u64 = 8 << 30;
/// Bytes of a consent export that is one JSON document, which is read whole.
pub const CONSENT_JSON_BYTES_MAX: u64 = 64 << 20;
/// Bytes of one row of a consent export.
pub const CONSENT_ROW_BYTES_MAX: u64 = 1 << 20;
/// Events of one consent export: they are sorted in memory.
pub const CONSENT_EVENTS_MAX: usize = 10_000_000;
/// Events that a receipt tells, the newest.
pub const CONSENT_RECEIPT_EVENTS_MAX: usize = 200;
/// Bytes of a file of scores in which one person is looked for.
pub const SCORES_FILE_BYTES_MAX: u64 = 8 << 30;
/// Lines of one person in a file of scores.
pub const SCORES_OF_PERSON_MAX: usize = 64;
/// Characters of a name or a reason in an erasure.
pub const ERASURE_TEXT_CHARS_MAX: usize = 200;
/// Days by which the clock of an erasure is made longer at most, whatever a pack says.
pub const ERASURE_EXTENSION_DAYS_MAX: i64 = 90;
/// Backups that one erasure names.
pub const ERASURE_BACKUPS_MAX: usize = 64;
/// Days for which an erased person is kept out at most.
pub const ERASURE_KEEP_OUT_DAYS_MAX: i64 = 36_525;

/// Bytes of a signed note.
pub const NOTE_BYTES_MAX: usize = 256 << 10;
/// Signatures of a note: one of the log, and one of each witness.
pub const NOTE_SIGNATURES_MAX: usize = MEMBERS_MAX + 1;
/// Bytes of the payload of one entry of a history.
pub const HISTORY_PAYLOAD_BYTES_MAX: usize = 16 << 10;
/// Levels of such a payload.
pub const HISTORY_DEPTH_MAX: usize = 8;
/// Values of such a payload, lists and objects included.
pub const HISTORY_VALUES_MAX: usize = 1_024;
/// Bytes of a key in such a payload.
pub const HISTORY_KEY_BYTES_MAX: usize = 64;
/// Entries that are written in one durable transaction.
pub const HISTORY_GROUP_MAX: usize = 4_096;
/// Entries of a history in one answer.
pub const HISTORY_ENTRIES_SHOWN_MAX: u64 = 500;
/// Newest answers whose questions a coordinator enters again at its start, in case that a crash lost their events.
pub const ANSWERS_TOLD_AGAIN: usize = 256;
/// Days whose checkpoints one answer shows: each checkpoint has at most 64 KiB.
pub const HISTORY_DAYS_SHOWN_MAX: u64 = 32;
/// Requests to a history that may wait.
pub const HISTORY_QUEUE_MAX: usize = 1_024;
/// Hashes of a proof that one size of a log continues another: two for each level, and one.
pub const HISTORY_PROOF_HASHES_MAX: usize = 129;
/// Entries of one audit pack.
pub const PACK_EVENTS_MAX: usize = 1 << 20;
/// Files of one audit pack.
pub const PACK_FILES_MAX: usize = 16_384;
/// Bytes of all files of one audit pack.
pub const PACK_BYTES_MAX: u64 = 4 << 30;
/// Checkpoints of one audit pack: one for each hour of a year, and some.
pub const PACK_CHECKPOINTS_MAX: usize = 10_000;
/// Spends of a year that one audit pack lists from before its first entry.
pub const PACK_LISTED_MAX: usize = 1 << 17;
/// Rule books of one audit pack.
pub const PACK_BOOKS_MAX: usize = 1_024;
/// Witnesses and groups of one policy of a log.
pub const LOG_POLICY_NAMES_MAX: usize = 1_024;
/// Findings of one check that are told, the first.
pub const PACK_FINDINGS_MAX: usize = 20;
/// Alarms that a report lists by their index.
pub const PACK_ALARMS_MAX: usize = 1_000;
/// Programs of nodes that a report lists.
pub const PACK_PROGRAMS_TOLD_MAX: usize = 1_000;
/// Decisions in a sample.
pub const PACK_SAMPLE_MAX: usize = 10_000;
/// Bytes of an auditor's seed.
pub const PACK_SEED_BYTES_MAX: usize = 256;
/// Bytes of a receipt.
pub const RECEIPT_BYTES_MAX: usize = 256 << 10;

// Each value of a filter is at most a range of two numbers; conditions, keys and blocks are far below the rest.
const _: () = assert!(FILTER_VALUES_MAX * 16 + (1 << 16) <= QUESTION_BYTES_MAX);
const _: () = assert!(QUESTION_CELLS_MAX <= CELLS_MAX);
const _: () = assert!(CELLS_MAX * size_of::<i64>() + 4_096 < FRAME_BYTES_MAX);
// A sealed share record fits into 4 MiB, and what all members of a group deal into the spool.
const _: () = assert!(SHARING_BLOCKS_MAX * size_of::<u64>() + 16 <= 4 << 20);
const _: () = assert!((GROUP_MAX * SHARES_BYTES_MAX) as u64 <= SPOOL_BYTES_MAX);
// Customers' parts and 64 deviations of noise of a whole group stay below 2^59, less than half of the field.
const _: () = assert!(GROUP_MAX as u64 * SUM_ABS_MAX <= 1 << 58);
const _: () = assert!(GROUP_MAX <= 12 * 12 && 64 * SIGMA_MAX * 12 <= 1 << 58);
const _: () =
    assert!(SHARES_BYTES_MAX + 16 < FRAME_BYTES_MAX && OPENING_BYTES_MAX < FRAME_BYTES_MAX);
