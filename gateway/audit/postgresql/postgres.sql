-- A shard of the audit log in PostgreSQL: tables, functions, guards.
--
-- Run in the shard's schema by gateway/audit/postgresql/schema.py, which puts in for @schema@ its name,
-- for @step@ the records of a partition, for @intent@, @outcome@ and @indeterminate@ the numbers of
-- these kinds. Codes of refusal and verbs are those of gateway/audit/postgres.py.

-- Text sorts by its bytes, as in SQLite. Heads are rewritten at every append, so that their pages
-- keep room for it.
CREATE TABLE IF NOT EXISTS audit_head (
    one bigint PRIMARY KEY CHECK (one = 1), origin text NOT NULL, epoch bigint NOT NULL,
    state text NOT NULL, next_index bigint NOT NULL) WITH (fillfactor = 10);
CREATE TABLE IF NOT EXISTS audit_schema (
    one bigint PRIMARY KEY CHECK (one = 1), version bigint NOT NULL);
CREATE TABLE IF NOT EXISTS audit_record (
    leaf_index bigint PRIMARY KEY, record_id bytea NOT NULL, exchange bytea,
    kind bigint NOT NULL, t bigint NOT NULL, leaf_hash bytea NOT NULL,
    entry bytea NOT NULL, sections bytea NOT NULL)
    PARTITION BY RANGE (leaf_index);
CREATE INDEX IF NOT EXISTS audit_record_id ON audit_record (record_id);
CREATE TABLE IF NOT EXISTS audit_key (
    leaf_index bigint PRIMARY KEY, kek_id bigint NOT NULL,
    wrapped bytea NOT NULL) PARTITION BY RANGE (leaf_index);
-- Hashes and ciphertext do not get smaller: to try costs time.
ALTER TABLE audit_record ALTER entry SET STORAGE EXTERNAL, ALTER sections SET STORAGE EXTERNAL;
CREATE TABLE IF NOT EXISTS audit_partition (first bigint PRIMARY KEY);
CREATE TABLE IF NOT EXISTS audit_recent (
    record_id bytea PRIMARY KEY, leaf_index bigint NOT NULL);
CREATE TABLE IF NOT EXISTS audit_open (
    exchange bytea PRIMARY KEY, intent_index bigint NOT NULL, instance text COLLATE "C" NOT NULL,
    started bigint NOT NULL);
CREATE TABLE IF NOT EXISTS audit_claim (key bytea PRIMARY KEY, expires bigint NOT NULL);
CREATE TABLE IF NOT EXISTS audit_counter (
    key bytea PRIMARY KEY, value bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS audit_tree (
    one bigint PRIMARY KEY CHECK (one = 1), size bigint NOT NULL, root bytea NOT NULL,
    published_size bigint NOT NULL, published_at bigint NOT NULL) WITH (fillfactor = 10);
CREATE TABLE IF NOT EXISTS audit_tile (
    level bigint NOT NULL, idx bigint NOT NULL, root bytea NOT NULL,
    hashes bytea NOT NULL, PRIMARY KEY (level, idx));
CREATE TABLE IF NOT EXISTS audit_checkpoint (
    size bigint PRIMARY KEY, note text NOT NULL, cosigned text, made_at bigint NOT NULL);
CREATE TABLE IF NOT EXISTS audit_instance (
    name text COLLATE "C" PRIMARY KEY, beat bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS audit_barrier (
    instance text COLLATE "C" PRIMARY KEY, n bigint NOT NULL);
-- The hosts that have sealed a head of this log: one of them without its head is not new here.
CREATE TABLE IF NOT EXISTS audit_host (name text COLLATE "C" PRIMARY KEY);

-- The head's row stays locked from here to the commit, so that indices follow one another without
-- a gap, and whoever reads sees a prefix of the log.
CREATE OR REPLACE FUNCTION audit_begin(p_epoch bigint, p_count bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE base bigint; found_epoch bigint; found_state text;
BEGIN
    UPDATE audit_head SET next_index = next_index + p_count
    WHERE epoch = p_epoch AND state = 'open' RETURNING next_index - p_count INTO base;
    IF base IS NULL THEN
        SELECT epoch, state INTO found_epoch, found_state FROM audit_head;
        RAISE EXCEPTION '%', CASE WHEN found_epoch <> p_epoch THEN 'fenced' ELSE found_state END
        USING ERRCODE = '55000';
    END IF;
    RETURN base;
END $$;

-- The tags of people, which come as hexadecimal text between commas.
CREATE OR REPLACE FUNCTION audit_people(p_tags bytea) RETURNS bytea[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(decode(tag, 'hex')), ARRAY[]::bytea[])
    FROM regexp_split_to_table(convert_from(p_tags, 'UTF8'), ',') AS tag WHERE tag <> ''
$$;

-- Does what a record, or all of a batch, does to the log's state; the first refusal ends it.
CREATE OR REPLACE FUNCTION audit_settle(
    p_only bigint, p_of bigint[], p_verbs text[], p_keys bytea[], p_others bytea[], p_a bigint[],
    p_b bigint[], OUT refusal text, OUT culprit bytea)
LANGUAGE plpgsql AS $$
DECLARE
    now_us bigint := extract(epoch FROM clock_timestamp()) * 1000000;
    op record; began bigint; begins boolean; counted bigint; people bytea[];
BEGIN
    FOR op IN SELECT * FROM unnest(p_of, p_verbs, p_keys, p_others, p_a, p_b)
              AS o(of_record, verb, key, other, a, b) WHERE p_only IS NULL OR o.of_record = p_only
    LOOP
        CASE op.verb
        WHEN 'r' THEN
            DELETE FROM audit_claim WHERE key = op.key;
        WHEN 'c' THEN
            INSERT INTO audit_claim VALUES (op.key, op.a) ON CONFLICT (key)
            DO UPDATE SET expires = excluded.expires WHERE audit_claim.expires <= now_us;
            IF NOT FOUND THEN refusal := 'claim'; END IF;
        WHEN 'n' THEN
            INSERT INTO audit_counter SELECT op.key, greatest(op.a, 0)
            WHERE op.a <= op.b OR op.a <= 0 ON CONFLICT (key)
            DO UPDATE SET value = greatest(audit_counter.value + op.a, 0)
            WHERE audit_counter.value + op.a <= op.b OR op.a <= 0;
            IF NOT FOUND THEN refusal := 'counter'; END IF;
        WHEN 'd' THEN
            -- Somebody counts once for a counter, however many exchanges count them.
            people := audit_people(op.other);
            counted := cardinality(people) - (
                SELECT count(*) FROM audit_day_person WHERE key = op.key AND person = ANY (people));
            IF counted > 0 THEN
                INSERT INTO audit_counter SELECT op.key, counted WHERE counted <= op.b
                ON CONFLICT (key) DO UPDATE SET value = audit_counter.value + counted
                WHERE audit_counter.value + counted <= op.b;
                IF NOT FOUND THEN refusal := 'counter'; END IF;
            END IF;
            IF refusal IS NULL THEN
                INSERT INTO audit_day_person SELECT op.key, p, 1, op.a FROM unnest(people) AS p
                ON CONFLICT (key, person) DO UPDATE SET uses = audit_day_person.uses + 1;
            END IF;
        WHEN 'f' THEN
            people := audit_people(op.other);
            UPDATE audit_day_person SET uses = uses - 1
            WHERE key = op.key AND person = ANY (people);
            DELETE FROM audit_day_person
            WHERE key = op.key AND person = ANY (people) AND uses <= 0;
            GET DIAGNOSTICS counted = ROW_COUNT;
            UPDATE audit_counter SET value = greatest(value - counted, 0) WHERE key = op.key;
        WHEN 'b', 'g' THEN
            -- Whoever was faster since the decision looked has begun the grant: it is gone on with.
            SELECT started INTO began FROM audit_grant WHERE holder = op.key;
            begins := op.verb = 'b' AND (began IS NULL OR began = op.a);
            IF begins THEN
                DELETE FROM audit_grant_subject WHERE holder = op.key;
            END IF;
            IF begins OR began IS NULL OR began = op.a AND op.b < began THEN
                INSERT INTO audit_grant VALUES (op.key, op.b)
                ON CONFLICT (holder) DO UPDATE SET started = excluded.started;
            END IF;
            INSERT INTO audit_grant_words VALUES (op.key, op.other) ON CONFLICT DO NOTHING;
        WHEN 'p' THEN
            INSERT INTO audit_grant_subject VALUES (op.key, op.other) ON CONFLICT DO NOTHING;
        WHEN 'h' THEN
            IF (SELECT count(*) FROM audit_grant_subject WHERE holder = op.key) > op.a THEN
                refusal := 'grant';
            END IF;
        WHEN 'k' THEN
            IF audit_erase(ARRAY[op.a], ARRAY[op.other], ARRAY[op.key]) <> 1 THEN
                refusal := 'overtaken';
            END IF;
        WHEN 'u' THEN
            PERFORM FROM audit_hold_version WHERE version = op.a;
            IF NOT FOUND THEN refusal := 'overtaken'; END IF;
        WHEN 'e' THEN
            DELETE FROM audit_hold WHERE hold = op.key;
            IF NOT FOUND THEN refusal := 'overtaken'; END IF;
            UPDATE audit_hold_version SET version = version + 1;
        ELSE  -- 'hold', its kind and its reason
            INSERT INTO audit_hold VALUES (
                op.key, split_part(op.verb, ' ', 2), op.other, split_part(op.verb, ' ', 3), op.a);
            UPDATE audit_hold_version SET version = version + 1;
        END CASE;
        IF refusal IS NOT NULL THEN
            culprit := op.key;
            RETURN;
        END IF;
    END LOOP;
END $$;

-- Stores a whole batch, or raises CA000 if one of its records cannot be stored.
-- The open row is the arbiter: whoever deletes it writes the one terminal record (I4).
CREATE OR REPLACE FUNCTION audit_append(
    p_epoch bigint, p_instance text, p_ids bytea[], p_exchanges bytea[], p_kinds bigint[],
    p_times bigint[], p_hashes bytea[], p_entries bytea[], p_sections bytea[], p_days bigint[],
    p_wrapped bytea[], p_left bigint[], p_of bigint[], p_verbs text[], p_keys bytea[],
    p_others bytea[], p_a bigint[], p_b bigint[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE base bigint; refused text; closing bigint; closed bigint; waited_us bigint;
BEGIN
    base := audit_begin(p_epoch, cardinality(p_ids));
    waited_us := extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1000000;
    IF waited_us > (SELECT min(l) FROM unnest(p_left) AS l) THEN refused := 'late'; END IF;
    IF refused IS NULL AND cardinality(p_of) > 0 THEN
        SELECT s.refusal INTO refused
        FROM audit_settle(NULL, p_of, p_verbs, p_keys, p_others, p_a, p_b) AS s;
    END IF;
    closing := (SELECT count(*) FROM unnest(p_kinds) AS k
                WHERE k IN (@outcome@, @indeterminate@));
    IF refused IS NULL AND closing > 0 THEN
        DELETE FROM audit_open USING unnest(p_exchanges, p_kinds) AS c(x, k)
        WHERE c.k IN (@outcome@, @indeterminate@) AND audit_open.exchange = c.x;
        GET DIAGNOSTICS closed = ROW_COUNT;
        IF closed <> closing THEN refused := 'closed'; END IF;
    END IF;
    IF refused IS NOT NULL THEN
        RAISE EXCEPTION '%', refused USING ERRCODE = 'CA000';
    END IF;
    INSERT INTO audit_recent
    SELECT id, base + n - 1 FROM unnest(p_ids) WITH ORDINALITY AS u(id, n);
    INSERT INTO audit_record
    SELECT base + n - 1, id, x, k, t, h, e, s
    FROM unnest(p_ids, p_exchanges, p_kinds, p_times, p_hashes, p_entries, p_sections)
         WITH ORDINALITY AS u(id, x, k, t, h, e, s, n);
    INSERT INTO audit_key SELECT base + n - 1, d, w
    FROM unnest(p_days, p_wrapped) WITH ORDINALITY AS u(d, w, n) WHERE w IS NOT NULL;
    IF @intent@ = ANY (p_kinds) THEN
        INSERT INTO audit_open SELECT x, base + n - 1, p_instance, t
        FROM unnest(p_exchanges, p_kinds, p_times) WITH ORDINALITY AS u(x, k, t, n)
        WHERE k = @intent@;
    END IF;
    RETURN base;
END $$;

-- Stores what can be stored of a batch; what is refused takes no index.
CREATE OR REPLACE FUNCTION audit_append_singly(
    p_epoch bigint, p_instance text, p_ids bytea[], p_exchanges bytea[], p_kinds bigint[],
    p_times bigint[], p_hashes bytea[], p_entries bytea[], p_sections bytea[], p_days bigint[],
    p_wrapped bytea[], p_left bigint[], p_of bigint[], p_verbs text[], p_keys bytea[],
    p_others bytea[], p_a bigint[], p_b bigint[])
RETURNS TABLE (place bigint, refusal text, culprit bytea)
LANGUAGE plpgsql AS $$
DECLARE at bigint; one record; waited_us bigint; found_hash bytea;
BEGIN
    at := audit_begin(p_epoch, 0);
    waited_us := extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1000000;
    FOR one IN SELECT * FROM unnest(p_ids, p_exchanges, p_kinds, p_times, p_hashes, p_entries,
                                    p_sections, p_days, p_wrapped, p_left)
        WITH ORDINALITY AS u(id, x, k, t, h, e, s, d, w, l, n) ORDER BY n
    LOOP
        place := at; refusal := NULL; culprit := NULL;
        BEGIN
            IF waited_us > one.l THEN
                refusal := 'late';
                RAISE EXCEPTION 'late' USING ERRCODE = 'CA000';
            END IF;
            SELECT s.refusal, s.culprit INTO refusal, culprit
            FROM audit_settle(one.n, p_of, p_verbs, p_keys, p_others, p_a, p_b) AS s;
            IF refusal IS NULL AND one.k IN (@outcome@, @indeterminate@) THEN
                DELETE FROM audit_open WHERE exchange = one.x;
                IF NOT FOUND THEN refusal := 'closed'; END IF;
            END IF;
            IF refusal IS NOT NULL THEN
                RAISE EXCEPTION '%', refusal USING ERRCODE = 'CA000';
            END IF;
            INSERT INTO audit_recent VALUES (one.id, at);
            INSERT INTO audit_record VALUES (at, one.id, one.x, one.k, one.t, one.h, one.e, one.s);
            IF one.w IS NOT NULL THEN INSERT INTO audit_key VALUES (at, one.d, one.w); END IF;
            IF one.k = @intent@ THEN
                INSERT INTO audit_open VALUES (one.x, at, p_instance, one.t);
            END IF;
            at := at + 1;
        EXCEPTION
        WHEN SQLSTATE 'CA000' THEN
            place := NULL;
        WHEN unique_violation THEN
            -- A retry of a record that is already stored is answered with the place it has.
            SELECT q.leaf_index, r.leaf_hash INTO place, found_hash
            FROM audit_recent AS q JOIN audit_record AS r USING (leaf_index)
            WHERE q.record_id = one.id;
            IF found_hash IS DISTINCT FROM one.h THEN
                place := NULL; refusal := 'repeated';
            END IF;
        END;
        RETURN NEXT;
    END LOOP;
    UPDATE audit_head SET next_index = at;
END $$;

-- Makes the partitions that are needed soon, and tells how many. A table is attached after it was
-- made: that waits for no reader, and no append waits for it.
CREATE OR REPLACE FUNCTION audit_extend() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = @schema@, pg_temp AS $$
DECLARE
    last bigint := (SELECT next_index FROM audit_head);
    first bigint; parent text; part text; made bigint := 0;
BEGIN
    IF (SELECT max(p.first) FROM audit_partition AS p) > last THEN RETURN 0; END IF;
    LOCK TABLE audit_partition IN EXCLUSIVE MODE;
    LOOP
        first := (SELECT coalesce(max(p.first) + @step@, 0) FROM audit_partition AS p);
        EXIT WHEN first > last + @step@;
        FOREACH parent IN ARRAY ARRAY['audit_record', 'audit_key'] LOOP
            part := parent || '_' || first;
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, parent);
            EXECUTE format('ALTER TABLE %I ADD CHECK (leaf_index >= %s AND leaf_index < %s)',
                           part, first, first + @step@);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                           parent, part, first, first + @step@);
        END LOOP;
        INSERT INTO audit_partition VALUES (first);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- Forgets keys of sections for good: a record's all (NULL), or all but those wrapped anew. Keys
-- that are not as they were read (`p_read`, where it is given) stay; returns how many rows changed.
DROP FUNCTION IF EXISTS audit_erase(bigint[], bytea[]);
CREATE OR REPLACE FUNCTION audit_erase(
    p_indices bigint[], p_wrapped bytea[], p_read bytea[] DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = @schema@, pg_temp AS $$
DECLARE erased bigint; kept bigint;
BEGIN
    DELETE FROM audit_key USING unnest(p_indices, p_wrapped, p_read) AS e(i, w, r)
    WHERE audit_key.leaf_index = e.i AND e.w IS NULL AND (e.r IS NULL OR audit_key.wrapped = e.r);
    GET DIAGNOSTICS erased = ROW_COUNT;
    UPDATE audit_key SET wrapped = e.w FROM unnest(p_indices, p_wrapped, p_read) AS e(i, w, r)
    WHERE audit_key.leaf_index = e.i AND e.w IS NOT NULL
    AND (e.r IS NULL OR audit_key.wrapped = e.r);
    GET DIAGNOSTICS kept = ROW_COUNT;
    RETURN erased + kept;
END $$;

-- A first defence only; the tree is the real one.
CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what the audit log holds is never changed' USING ERRCODE = '55000';
END $$;

CREATE OR REPLACE TRIGGER unchanged BEFORE UPDATE OR DELETE ON audit_record FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE OR REPLACE TRIGGER untruncated BEFORE TRUNCATE ON audit_record FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE OR REPLACE TRIGGER unchanged BEFORE UPDATE OR DELETE ON audit_tile FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE OR REPLACE TRIGGER untruncated BEFORE TRUNCATE ON audit_tile FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
