-- Two upstreams may give the same id, so the upstream belongs to the key of an object.
ALTER TABLE stored_objects DROP CONSTRAINT stored_objects_pkey;
ALTER TABLE stored_objects ADD PRIMARY KEY (organization_id, project_id, kind, id, upstream);
