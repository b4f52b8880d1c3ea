"""The worker of Notes: measures each note."""

import psycopg2
import redis

queue = redis.Redis("cache")
while True:
    _, number = queue.blpop("jobs")
    with psycopg2.connect("host=db user=postgres dbname=postgres") as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE notes SET length = length(text) WHERE number = %s", [int(number)])
    connection.close()
