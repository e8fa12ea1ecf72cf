;; Answers with bytes that it does not have: a gibibyte, in a memory of one page.
(component
  (core module $code
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
    (func (export "handle") (param i32 i32 i32 i32) (result i32)
      (i32.store (i32.const 0) (i32.const 1024))
      (i32.store (i32.const 4) (i32.const 0x40000000))
      (i32.store (i32.const 8) (i32.const 1024))
      (i32.store (i32.const 12) (i32.const 0x40000000))
      i32.const 0))
  (core instance $i (instantiate $code))
  (func $handle (param "head" (list u8)) (param "body" (list u8))
    (result (tuple (list u8) (list u8)))
    (canon lift (core func $i "handle")
      (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (instance $handler (export "handle" (func $handle)))
  (export "trellis:http/packed-handler@0.1.0" (instance $handler)))
