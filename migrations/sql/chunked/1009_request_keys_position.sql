-- Request keys by the range of positions that spent them: what a move copies, compares and repairs.
CREATE INDEX request_keys_position_idx ON request_keys USING brin (position) WITH (autosummarize = on);
