-- Spreads the tables of Losswatch over the nodes of a Citus cluster, by project. Run it once on the coordinator, as the
-- owner of the tables, while no service runs, after `losswatch-server keys create` or a first start made the tables:
--
--     psql "$LOSSWATCH_DATABASE" -v ON_ERROR_STOP=1 -f distribute.sql
--
-- All rows of a project lie on one node, so that a commit of points touches one node alone. The tables that have a row
-- or a few for the whole database (alert_cursor, event_number, lease, works_with, alembic_version) stay on the coordinator.
SELECT create_distributed_table('run', 'project', colocate_with => 'none');
SELECT create_distributed_table(name, 'project', colocate_with => 'run')
FROM unnest(ARRAY[
    'run_name', 'gone_writer', 'attempt', 'writer', 'record', 'snapshot', 'finding', 'event',
    'summary', 'rank_tail', 'series_name', 'thinned',
    'target', 'silence', 'concern', 'target_group', 'delivery', 'api_key', 'retention', 'points_of_day'
]) AS name;
