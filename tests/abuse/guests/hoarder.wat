;; Takes memories and tables while it is made: eight of each, as large as it gets them.
(component
  (core module $heap
    (memory 0)
    (table 0 funcref)
    (func $start
      (block $full
        (loop $more
          (br_if $full (i32.eq (memory.grow (i32.const 16)) (i32.const -1)))
          (memory.fill
            (i32.mul (i32.sub (memory.size) (i32.const 16)) (i32.const 65536))
            (i32.const 1) (i32.const 1048576))
          (br $more)))
      (block $full
        (loop $more
          (br_if $full
            (i32.eq (table.grow (ref.null func) (i32.const 1000)) (i32.const -1)))
          (br $more))))
    (start $start))
  (core instance (instantiate $heap))
  (core instance (instantiate $heap))
  (core instance (instantiate $heap))
  (core instance (instantiate $heap))
  (core instance (instantiate $heap))
  (core instance (instantiate $heap))
  (core instance (instantiate $heap))
  (core module $code
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
    (func (export "handle") (param i32 i32 i32 i32) (result i32) unreachable))
  (core instance $i (instantiate $code))
  (func $handle (param "head" (list u8)) (param "body" (list u8))
    (result (tuple (list u8) (list u8)))
    (canon lift (core func $i "handle")
      (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (instance $handler (export "handle" (func $handle)))
  (export "trellis:http/packed-handler@0.1.0" (instance $handler)))
