-- Makes a table of the spans of a file of OTLP JSON lines, attributes as they are. Input: $file varchar.
create table spans as
with resources as (
    select unnest("resourceSpans") as of_resource
    from read_json(
        $file,
        format = 'newline_delimited',
        maximum_object_size = 67108864,
        columns = {
            'resourceSpans': 'struct(
                resource struct(attributes json),
                "scopeSpans" struct(
                    scope struct(name varchar, version varchar),
                    spans struct(
                        "traceId" varchar,
                        "spanId" varchar,
                        "parentSpanId" varchar,
                        name varchar,
                        kind integer,
                        "startTimeUnixNano" bigint,
                        "endTimeUnixNano" bigint,
                        attributes json,
                        status struct(code integer, message varchar)
                    )[]
                )[]
            )[]'
        }
    )
),
scopes as (
    select
        of_resource.resource.attributes as resource_attributes,
        unnest(of_resource."scopeSpans") as scoped
    from resources
),
each_span as (
    select
        resource_attributes,
        scoped.scope as scope,
        unnest(scoped.spans) as span
    from scopes
)
select
    span.*,
    scope.name as scope_name,
    resource_attributes
from each_span
